import { expect, test } from 'vitest';
import { createKeyspace } from '../../src/schema/keyspace.ts';
import { createRateLimit, readRateLimit } from '../../src/schema/keyspace/rate-limit.ts';
import { redisClient } from '../support/latest.ts';
import { redisDatabase, waitFor } from '../support/stack.ts';

const keys = createKeyspace('test:');
const HOUR = { limit: 300, windowMs: 3_600_000 };

test('1,000 parallel calls over several connections: exactly as many pass as may', async () => {
  const url = await redisDatabase();
  const services = Array.from({ length: 4 }, () => createRateLimit(redisClient(url), keys));
  const answers = await Promise.all(
    Array.from({ length: 1000 }, (_, n) => services[n % 4]!(7, '/orders', HOUR)),
  );
  expect(answers.filter(({ allowed }) => allowed)).toHaveLength(300);
  expect(answers.map(({ count }) => count).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 1000 }, (_, n) => n + 1),
  );
  for (const { allowed, count, remaining } of answers) {
    expect({ allowed, remaining }).toEqual({
      allowed: count <= 300,
      remaining: Math.max(0, 300 - count),
    });
  }
  // One window.
  expect(new Set(answers.map(({ resetTime }) => resetTime)).size).toBe(1);
});

test('the key is the hash of the document and ends with the window', async () => {
  const client = redisClient(await redisDatabase());
  const take = createRateLimit(client, keys);
  const { resetTime } = await take(7, 'GET:/orders', HOUR);
  await take(7, 'GET:/orders', { ...HOUR, windowMs: 5 });
  const key = 'test:rate_limit:7:GET:/orders';
  const fields = await client.hgetall(key);
  expect(fields).toEqual({ count: '2', reset_time: String(resetTime) });
  expect(readRateLimit(fields)).toEqual({ count: 2, resetTime });
  expect(await client.call('PEXPIRETIME', key)).toBe(resetTime);
});

test('users and endpoints are counted apart', async () => {
  const take = createRateLimit(redisClient(await redisDatabase()), keys);
  await take(7, '/orders', HOUR);
  expect(await take(8, '/orders', HOUR)).toMatchObject({ count: 1 });
  expect(await take(7, '/positions', HOUR)).toMatchObject({ count: 1 });
  expect(await take(7, '/orders', HOUR)).toMatchObject({ count: 2 });
});

test('a window that is over makes room for the next, also when its key never expired', async () => {
  const client = redisClient(await redisDatabase());
  const take = createRateLimit(client, keys);
  const first = await take(7, '/orders', { limit: 1, windowMs: 20 });
  expect(first).toMatchObject({ allowed: true, remaining: 0 });
  const next = await waitFor(
    async () => {
      const answer = await take(7, '/orders', { limit: 1, windowMs: 20 });
      return answer.allowed ? answer : undefined;
    },
    { what: 'the next window' },
  );
  expect(next.resetTime).toBeGreaterThanOrEqual(first.resetTime + 20);

  await client.hset('test:rate_limit:9:/orders', { count: '99', reset_time: '5' });
  expect(await take(9, '/orders', HOUR)).toMatchObject({ allowed: true, count: 1 });
});

test('a server that forgot the script gets it again', async () => {
  const client = redisClient(await redisDatabase());
  const take = createRateLimit(client, keys);
  await take(7, '/orders', HOUR);
  await client.script('FLUSH');
  expect(await take(7, '/orders', HOUR)).toMatchObject({ count: 2 });
});

test('once known, a call is one command', async () => {
  const client = redisClient(await redisDatabase());
  const take = createRateLimit(client, keys);
  await take(7, '/orders', HOUR);
  const sent: string[] = [];
  const sendCommand = client.sendCommand.bind(client);
  client.sendCommand = (command, ...rest) => {
    sent.push(command.name);
    return sendCommand(command, ...rest);
  };
  await take(7, '/orders', HOUR);
  expect(sent).toEqual(['evalsha']);
});

test.each([0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])(
  'a window of %d ms is refused, not open to everybody',
  async (windowMs) => {
    const take = createRateLimit(redisClient(await redisDatabase()), keys);
    await expect(take(7, '/orders', { limit: 1, windowMs })).rejects.toMatchObject({
      code: 'rate_limit_window',
    });
  },
);
