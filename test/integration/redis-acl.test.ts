/** The daemon works as the user that SECURITY.md describes, and that user can do nothing else. */
import { readFile } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { bookOf, metricValue, startLatest, tradeOf } from '../support/latest.ts';
import { mirroredDatabase, startMirror } from '../support/mirror.ts';
import { waitFor } from '../support/stack.ts';
import { startValkey } from '../support/valkey.ts';

const PASSWORD = 'canary-secret';

/** The words after `user`. */
async function documentedRules(): Promise<string[]> {
  const text = await readFile(new URL('../../SECURITY.md', import.meta.url), 'utf8');
  const [, acl = ''] = /```acl\nuser (.+?)```/s.exec(text) ?? [];
  return acl.trim().replace('PASSWORD', PASSWORD).split(/\s+/);
}

async function restrict(admin: Redis): Promise<void> {
  await admin.call('ACL', 'SETUSER', ...(await documentedRules()));
}

/** What was refused to the user, as the server saw it. */
async function denials(admin: Redis): Promise<unknown> {
  return admin.call('ACL', 'LOG');
}

test('prices, books, metrics, PUBLISH and the mirror, and not one refusal', async () => {
  const { client: admin, port } = await startValkey();
  await restrict(admin);
  const redisUrl = `redis://hyperfeed:${PASSWORD}@127.0.0.1:${port}`;
  const database = await mirroredDatabase();
  await database.query(
    `INSERT INTO strategies (name, config) VALUES ('a', '{}'), ('b', '{}');
     INSERT INTO risk_limits (user_id, max_drawdown) VALUES (1, 0.1);
     INSERT INTO user_sessions (user_id, session_token, expires_at) VALUES (1, 'token', now() + '1 h')`,
  );
  const sample = { component: 'hyperfeed', name: 'spool_bytes', value: 1 };
  const settings = { url: redisUrl, publish: true, expireAfterMs: 60_000 };
  const { latest, metrics } = await startLatest(settings, () => [sample]);
  latest.push(tradeOf('BTC/USDT', 1));
  latest.push(bookOf('BTC/USDT', 1));
  const mirror = await startMirror({ databaseUrl: database.url, redisUrl });
  await mirror.is('active');
  await database.query('DELETE FROM strategies WHERE id = 1; DELETE FROM risk_limits');
  const removed = async () => (await admin.exists('strategy:1', 'risk_limits:1')) === 0;
  await waitFor(removed, { what: 'the removal' });
  await waitFor(() => admin.exists('metrics:hyperfeed:spool_bytes'), { what: 'the metrics' });

  expect((await admin.keys('*')).toSorted()).toEqual([
    'metrics:hyperfeed:spool_bytes',
    'orderbook:binance:BTC/USDT',
    'price:binance:BTC/USDT',
    'session:token',
    'strategies:active',
    'strategy:2',
  ]);
  expect(await metricValue(metrics.redisUpdates)).toBeGreaterThan(2);
  expect(await denials(admin)).toEqual([]);
});

test('and nothing else', async () => {
  const { client: admin, port } = await startValkey();
  await restrict(admin);
  const client = new Redis({ port, username: 'hyperfeed', password: PASSWORD });
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  const denied: readonly (readonly [string, ...string[]])[] = [
    ['get', 'price:binance:BTC/USDT'],
    ['hset', 'refresh_token:x', 'a', 'b'],
    ['hset', 'rate_limit:1:x', 'a', 'b'],
    ['hget', 'refresh_token:x', 'user_id'],
    ['hgetall', 'session:x'],
    ['publish', 'other', 'x'],
    ['eval', `return redis.call('hset', 'refresh_token:x', 'a', 'b')`, '0'],
    ['eval', `return redis.call('flushall')`, '0'],
    ['keys', '*'],
    ['flushall'],
    ['config', 'get', '*'],
    ['acl', 'list'],
    ['client', 'list'],
    ['monitor'],
    ['shutdown'],
    ['script', 'flush'],
    ['replicaof', 'no', 'one'],
    ['cluster', 'reset'],
  ];
  for (const [name, ...args] of denied) {
    const outcome = await client.call(name, ...args).catch((error: unknown) => String(error));
    expect(`${name}: ${String(outcome)}`).toMatch(/NOPERM|No permissions|ACL failure/);
  }
});

test('in a cluster too', async () => {
  const settings = ['cluster-enabled yes', 'cluster-announce-ip 127.0.0.1'];
  const { client: admin, port } = await startValkey({ settings });
  await admin.cluster('ADDSLOTSRANGE', 0, 16_383);
  await waitFor(async () => (await admin.cluster('INFO')).includes('cluster_state:ok'), {
    what: 'the cluster',
  });
  await restrict(admin);
  const url = `redis+cluster://hyperfeed:${PASSWORD}@127.0.0.1:${port}`;
  const { latest } = await startLatest({ url });
  latest.push(tradeOf('BTC/USDT', 1));
  await waitFor(() => admin.exists('price:binance:BTC/USDT'), { what: 'the key' });
  const database = await mirroredDatabase();
  await database.query(`INSERT INTO strategies (name, config) VALUES ('a', '{}')`);
  const mirror = await startMirror({ databaseUrl: database.url, redisUrl: url });
  await mirror.is('active');
  expect(await admin.exists('strategy:1')).toBe(1);
  expect(await denials(admin)).toEqual([]);
});
