/** A batch of latest values, written by a script and by a pipeline: the same either way. */
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import type { LatestValue } from '../../src/writers/latest-value.ts';
import { createLatestWrite } from '../../src/writers/latest-write.ts';
import { bookOf, redisClient, tradeOf } from '../support/latest.ts';
import { redisDatabase, waitFor } from '../support/stack.ts';
import { startValkey } from '../support/valkey.ts';

const taken = (key: string, value: LatestValue, fresh = true) => {
  return { key, value, acceptedAt: 0, fresh, since: 0 };
};
const metric = { type: 'metric', time: 1_760_000_000_000_000, value: 7 } as const;
const WAYS = [
  { way: 'by a script', sharded: false },
  { way: 'by a pipeline', sharded: true },
];

/** Commands that the server ran, by name. */
async function commandsOf(client: Redis): Promise<string> {
  return client.info('commandstats');
}

test.each(WAYS)('$way: every kind, with its lifetime and its message', async ({ sharded }) => {
  const url = await redisDatabase();
  const client = redisClient(url);
  const prefix = `latest-write-${process.pid}-${sharded}:`;
  const subscriber = redisClient(url);
  const heard: string[] = [];
  subscriber.on('pmessage', (_, channel: string, text: string) => heard.push(`${channel} ${text}`));
  await subscriber.psubscribe(`${prefix}*`);
  const write = createLatestWrite({ expireAfterMs: 60_000, publish: true, sharded });
  const book = bookOf('BTC/USDT', 1, 2);
  const batch = [
    taken(`${prefix}trade`, tradeOf('BTC/USDT', 1)),
    taken(`${prefix}book`, book),
    taken(`${prefix}metric`, metric),
    taken(`${prefix}repeated`, tradeOf('BTC/USDT', 2), false),
    taken(`${prefix}late`, tradeOf('BTC/USDT', 3)),
  ];
  // The last was accepted too long ago.
  const outcome = await write(
    client,
    batch.map((one) => (one.key.endsWith('late') ? { ...one, acceptedAt: -60_000 } : one)),
    0,
  );

  expect(outcome.failure).toBeNull();
  expect(outcome.failed).toEqual([]);
  expect(outcome.written.map(({ key }) => key)).toEqual(batch.slice(0, 4).map(({ key }) => key));
  const trade = { price: '1001.10000000', timestamp: '1760000000001', volume: '0.00100000' };
  expect(await client.hgetall(`${prefix}trade`)).toEqual(trade);
  const { bids, asks } = book;
  const levels = { bids: JSON.stringify(bids), asks: JSON.stringify(asks) };
  expect(await client.hgetall(`${prefix}book`)).toEqual({ ...levels, timestamp: '1760000000001' });
  expect(await client.hgetall(`${prefix}metric`)).toEqual({
    value: '7',
    timestamp: '1760000000000',
  });
  expect(await client.pttl(`${prefix}trade`)).toBeGreaterThan(50_000);
  expect(await client.exists(`${prefix}late`)).toBe(0);
  await waitFor(() => heard.length >= 3, { what: 'the messages' });
  expect(heard).toEqual([
    `${prefix}trade ${JSON.stringify(trade)}`,
    `${prefix}book ${JSON.stringify({ ...levels, timestamp: '1760000000001' })}`,
    `${prefix}metric {"value":"7","timestamp":"1760000000000"}`,
  ]);
});

test.each(WAYS)('$way: a key that is refused is told, and holds up no other', async (one) => {
  const client = redisClient(await redisDatabase());
  await client.set('b', 'not a hash');
  const write = createLatestWrite({ expireAfterMs: 1_000, publish: true, sharded: one.sharded });
  const batch = ['a', 'b', 'c'].map((key) => taken(key, tradeOf('BTC/USDT', 1)));
  const { written, failed, failure } = await write(client, batch, 0);

  expect(written.map(({ key }) => key)).toEqual(['a', 'c']);
  expect(failed.map(({ key }) => key)).toEqual(['b']);
  expect(failure?.message).toContain('WRONGTYPE');
  expect(await client.get('b')).toBe('not a hash');
  expect(await client.exists('a', 'c')).toBe(2);
});

test('one command for a batch; a pipeline where scripts are not allowed', async () => {
  const { client: admin, port } = await startValkey();
  await admin.call('ACL', 'SETUSER', 'plain', 'on', '>word', '~*', '+@all', '-eval');
  const plain = new Redis({ port, username: 'plain', password: 'word' });
  onTestFinished(() => plain.disconnect());
  const batch = Array.from({ length: 500 }, (_, i) => taken(`k${i}`, tradeOf('BTC/USDT', i)));
  for (const [client, commands] of [
    [admin, /cmdstat_eval:calls=1,/],
    [plain, /cmdstat_eval:calls=0,/],
  ] as const) {
    await admin.flushdb();
    await admin.config('RESETSTAT');
    const write = createLatestWrite({ expireAfterMs: 0, publish: false, sharded: false });
    expect((await write(client, batch, 0)).written).toHaveLength(500);
    expect((await write(client, [], 0)).written).toEqual([]);
    expect(await admin.dbsize()).toBe(500);
    expect(await commandsOf(admin)).toMatch(commands);
  }
});

test('a replica refuses the batch as a whole, so that the client looks for the primary', async () => {
  const { client, port } = await startValkey();
  const told: string[] = [];
  const writer = new Redis({
    port,
    reconnectOnError: ({ message }) => {
      told.push(message);
      return false;
    },
  });
  onTestFinished(() => writer.disconnect());
  // Of a primary that is not there.
  await client.replicaof('127.0.0.1', 1);
  const write = createLatestWrite({ expireAfterMs: 0, publish: false, sharded: false });
  const { written, failed, failure } = await write(writer, [taken('a', tradeOf('A/B', 1))], 0);

  expect(written).toEqual([]);
  expect(failed).toHaveLength(1);
  expect(failure?.message).toMatch(/^READONLY/);
  expect(told[0]).toMatch(/^READONLY/);
});
