/** What services do with the keys of section 3 that are not market data. */
import { expect, test } from 'vitest';
import { createKeyspace } from '../../src/schema/keyspace.ts';
import { createRiskLimits, createStrategies } from '../../src/schema/keyspace/configuration.ts';
import { createMetricValues } from '../../src/schema/keyspace/market.ts';
import { createRefreshTokens, createSessions } from '../../src/schema/keyspace/sessions.ts';
import { redisClient } from '../support/latest.ts';
import { redisDatabase, waitFor } from '../support/stack.ts';

const keys = createKeyspace();
const inAnHour = () => Date.now() + 3_600_000;

test('a session is the hash of the document, and its key ends when it does', async () => {
  const client = redisClient(await redisDatabase());
  const sessions = createSessions(client, keys);
  const session = { userId: 42, expiresAt: inAnHour(), lastAccessed: 1_760_000_000_123 };
  await sessions.write('t0k:en', session);
  expect(await client.hgetall('session:t0k:en')).toEqual({
    user_id: '42',
    expires_at: String(session.expiresAt),
    last_accessed: '1760000000123',
  });
  expect(await client.call('PEXPIRETIME', 'session:t0k:en')).toBe(session.expiresAt);
  expect(await sessions.read('t0k:en')).toEqual(session);

  const shorter = { ...session, expiresAt: session.expiresAt - 1_000 };
  await sessions.write('t0k:en', shorter);
  expect(await sessions.read('t0k:en')).toEqual(shorter);
  expect(await client.call('PEXPIRETIME', 'session:t0k:en')).toBe(shorter.expiresAt);

  expect(await sessions.revoke('t0k:en')).toBe(true);
  expect(await sessions.revoke('t0k:en')).toBe(false);
  expect(await sessions.read('t0k:en')).toBeUndefined();
});

test('a touch moves last_accessed, never back, and keeps the end', async () => {
  const client = redisClient(await redisDatabase());
  const sessions = createSessions(client, keys);
  const session = { userId: 42, expiresAt: inAnHour(), lastAccessed: 1_000 };
  await sessions.write('a', session);
  expect(await sessions.touch('a', 3_000)).toBe(true);
  expect(await sessions.touch('a', 2_000)).toBe(true);
  // As the mirror does, when the table heard of no touch.
  await sessions.write('a', session);
  expect(await sessions.read('a')).toEqual({ ...session, lastAccessed: 3_000 });
  expect(await client.call('PEXPIRETIME', 'session:a')).toBe(session.expiresAt);
});

test('a session that is gone does not come back by being touched', async () => {
  const client = redisClient(await redisDatabase());
  const sessions = createSessions(client, keys);
  await sessions.write('a', { userId: 42, expiresAt: inAnHour(), lastAccessed: 1_000 });
  await sessions.revoke('a');
  expect(await sessions.touch('a')).toBe(false);
  expect(await client.exists('session:a')).toBe(0);
});

test('what has expired is not kept', async () => {
  const client = redisClient(await redisDatabase());
  const sessions = createSessions(client, keys);
  await sessions.write('a', { userId: 42, expiresAt: Date.now() - 1, lastAccessed: 1 });
  await sessions.write('b', { userId: 42, expiresAt: Date.now() + 30, lastAccessed: 1 });
  expect(await sessions.read('a')).toBeUndefined();
  await waitFor(async () => (await client.dbsize()) === 0, { what: 'the other one to expire' });
});

test('a refresh token is there until it is used, and used once', async () => {
  const client = redisClient(await redisDatabase());
  const tokens = createRefreshTokens(client, keys);
  const token = { userId: 42, expiresAt: inAnHour() };
  await tokens.write('r', token);
  expect(await client.hgetall('refresh_token:r')).toEqual({
    user_id: '42',
    expires_at: String(token.expiresAt),
  });
  expect(await client.call('PEXPIRETIME', 'refresh_token:r')).toBe(token.expiresAt);
  expect(await tokens.read('r')).toEqual(token);
  const uses = await Promise.all(Array.from({ length: 50 }, () => tokens.revoke('r')));
  expect(uses.filter(Boolean)).toHaveLength(1);
});

test('strategies: the set and the hashes change together', async () => {
  const client = redisClient(await redisDatabase());
  const strategies = createStrategies(client, keys);
  const config = '{"size": 0.10000000000000000001}';
  await strategies.write(1, { config, isActive: true });
  await strategies.write(2, { config: 'null', isActive: false });
  await strategies.write(3, { config: 'null', isActive: true });
  expect(await strategies.activeIds()).toEqual([1, 3]);
  expect(await strategies.read(1)).toEqual({ config, isActive: true });
  expect(await client.hgetall('strategy:2')).toEqual({ config: 'null', is_active: 'false' });

  await strategies.write(1, { config, isActive: false });
  await strategies.remove(3);
  expect(await strategies.activeIds()).toEqual([]);
  expect(await strategies.read(3)).toBeUndefined();
});

test('a write that Redis refuses is an error', async () => {
  const client = redisClient(await redisDatabase());
  await client.set('strategy:1', 'not a hash');
  const strategies = createStrategies(client, keys);
  await expect(strategies.write(1, { config: 'null', isActive: true })).rejects.toThrowError(
    /^WRONGTYPE/,
  );
});

test('risk limits and metrics keep their digits', async () => {
  const client = redisClient(await redisDatabase());
  const limits = createRiskLimits(client, keys);
  const first = { maxPositionValue: '1000000.000000001', maxDailyLoss: '5', maxDrawdown: null };
  await limits.write(42, first);
  expect(await limits.read(42)).toEqual(first);
  const second = { maxPositionValue: null, maxDailyLoss: null, maxDrawdown: null };
  await limits.write(42, second);
  expect(await limits.read(42)).toEqual(second);
  await limits.remove(42);
  expect(await limits.read(42)).toBeUndefined();

  const values = createMetricValues(client, keys);
  await values.write('risk', 'exposure', '0.10', 1_760_000_000_000);
  expect(await values.read('risk', 'exposure')).toEqual({
    value: '0.10',
    timestamp: 1_760_000_000_000,
  });
});
