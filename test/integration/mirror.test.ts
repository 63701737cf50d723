/** What the mirror makes of the tables while everything is well. */
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { simulate, startDaemon } from '../support/daemon.ts';
import { metricValue, redisClient } from '../support/latest.ts';
import {
  contentsOf,
  mirroredDatabase,
  startActiveMirror,
  startMirror,
  withinASecond,
} from '../support/mirror.ts';
import { redisDatabase, type TestDatabase, waitFor } from '../support/stack.ts';

const MS_OF_2100 = String(Date.UTC(2100, 0, 1));

async function setup() {
  const database = await mirroredDatabase();
  const redisUrl = await redisDatabase();
  return { database, redisUrl, databaseUrl: database.url, client: redisClient(redisUrl) };
}

const insertSession = (database: TestDatabase, token: string, expiresAt = '2100-01-01Z') =>
  database.query(
    `INSERT INTO user_sessions (user_id, session_token, expires_at, last_accessed)
     VALUES (1, $1, $2, '2026-01-01Z')`,
    [token, expiresAt],
  );

test('what the tables hold at the start, and nothing else of these kinds', async () => {
  const { database, client, ...urls } = await setup();
  await database.query(`
    INSERT INTO strategies (name, config, is_active) VALUES
      ('a', '{"size": 0.10000000000000000001}', TRUE), ('b', NULL, FALSE), ('c', '[]', NULL);
    INSERT INTO risk_limits (user_id, max_position_value, max_daily_loss, updated_at) VALUES
      (1, 1, 1, '2026-01-01'), (1, 1000000.000000001, NULL, '2026-01-03'), (1, 3, 3, '2026-01-02'),
      (2, 4, 4, NULL), (2, 5, 5, '2026-01-01'), (NULL, 6, 6, '2026-01-01');
    INSERT INTO user_sessions (user_id, session_token, expires_at, last_accessed) VALUES
      (1, 'a', '2100-01-01Z', '2026-01-01 00:00:00.123999Z'), (2, 'b:c', 'infinity', '-infinity'),
      (1, 'expired', now() - interval '1 second', now()), (NULL, 'nobody', '2100-01-01Z', now())`);
  // Of rows that are gone.
  await client.hset('session:gone', { user_id: '1', expires_at: MS_OF_2100, last_accessed: '0' });
  await client.hset('strategy:99', { config: '{}', is_active: 'true' });
  await client.sadd('strategies:active', '99', '98', 'x');
  await client.hset('risk_limits:99', { max_daily_loss: '1' });
  // Of others.
  const foreign = {
    'session:string': 'x',
    'strategy:5:versions': { a: '1' },
    'risk_limits:default': { a: '1' },
    'refresh_token:a': { user_id: '1' },
    'price:binance:BTC/USDT': { price: '1' },
    'x:session:a': { a: '1' },
  };
  for (const [key, value] of Object.entries(foreign)) {
    await (typeof value === 'string' ? client.set(key, value) : client.hset(key, value));
  }
  const { report } = await startActiveMirror(urls);

  expect(await contentsOf(client)).toEqual({
    ...foreign,
    'strategies:active': ['1'],
    'strategy:1': { config: '{"size": 0.10000000000000000001}', is_active: 'true' },
    'strategy:2': { config: 'null', is_active: 'false' },
    'strategy:3': { config: '[]', is_active: 'false' },
    'risk_limits:1': {
      max_position_value: '1000000.000000001',
      max_daily_loss: '',
      max_drawdown: '',
    },
    'risk_limits:2': { max_position_value: '5', max_daily_loss: '5', max_drawdown: '' },
    'session:a': {
      user_id: '1',
      expires_at: MS_OF_2100,
      last_accessed: String(Date.UTC(2026, 0, 1) + 123),
    },
    'session:b:c': {
      user_id: '2',
      expires_at: String(Date.UTC(9999, 11, 31, 23, 59, 59, 999)),
      last_accessed: '0',
    },
  });
  expect(await client.call('PEXPIRETIME', 'session:a')).toBe(Number(MS_OF_2100));
  expect(report()).toEqual({
    ready: true,
    reasons: [],
    status: { state: 'active', rows: { strategies: 3, risk_limits: 2, user_sessions: 2 } },
  });
});

test('strategies: insert, update, another id, delete, truncate', async () => {
  const { database, client, ...urls } = await setup();
  await startActiveMirror(urls);
  const active = () => client.smembers('strategies:active');

  await database.query(`INSERT INTO strategies (name, config) VALUES ('a', '{"x": 1.0}')`);
  await withinASecond('the row', () => client.exists('strategy:1'));
  expect(await contentsOf(client)).toEqual({
    'strategies:active': ['1'],
    'strategy:1': { config: '{"x": 1.0}', is_active: 'true' },
  });
  await database.query(`UPDATE strategies SET is_active = FALSE, config = '{"x": 1.00}'`);
  await withinASecond('it to be inactive', async () => (await active()).length === 0);
  expect(await contentsOf(client)).toEqual({
    'strategy:1': { config: '{"x": 1.00}', is_active: 'false' },
  });
  await database.query('UPDATE strategies SET id = 7, is_active = TRUE');
  await withinASecond('the new id', () => client.exists('strategy:7'));
  await withinASecond('the old id to go', async () => !(await client.exists('strategy:1')));
  expect(await active()).toEqual(['7']);
  await database.query('DELETE FROM strategies');
  await withinASecond('it to go', async () => (await client.dbsize()) === 0);
  await database.query(`INSERT INTO strategies (name) VALUES ('b'), ('c')`);
  await withinASecond('two rows', async () => (await active()).length === 2);
  await database.query('TRUNCATE strategies CASCADE');
  await withinASecond('both to go', async () => (await client.dbsize()) === 0);
});

test('risk limits: the newest row of a user counts, then the one before it', async () => {
  const { database, client, ...urls } = await setup();
  const { report } = await startActiveMirror(urls);
  const loss = async (user: number) => client.hget(`risk_limits:${user}`, 'max_daily_loss');
  const insert = (user: number, value: string, at: string) =>
    database.query(
      'INSERT INTO risk_limits (user_id, max_daily_loss, updated_at) VALUES ($1, $2, $3)',
      [user, value, at],
    );

  await insert(1, '10.50', '2026-01-01');
  await withinASecond('a limit', async () => (await loss(1)) === '10.50');
  await insert(1, '20', '2026-01-02');
  await withinASecond('the newer one', async () => (await loss(1)) === '20');
  await database.query('DELETE FROM risk_limits WHERE max_daily_loss = 20');
  await withinASecond('the older one', async () => (await loss(1)) === '10.50');
  await database.query('UPDATE risk_limits SET user_id = 2');
  await withinASecond('it to be of another user', async () => (await loss(2)) === '10.50');
  await withinASecond('none of the first', async () => !(await client.exists('risk_limits:1')));
  await database.query('UPDATE risk_limits SET max_daily_loss = NULL');
  await withinASecond('no limit', async () => (await loss(2)) === '');
  await database.query('UPDATE risk_limits SET user_id = NULL');
  await withinASecond('no user', async () => (await client.dbsize()) === 0);
  await insert(3, '1', '2026-01-01');
  await withinASecond('another', async () => (await loss(3)) === '1');
  await database.query('TRUNCATE risk_limits');
  await withinASecond('it to go', async () => (await client.dbsize()) === 0);
  expect(report().reasons).toEqual([]);
});

test('sessions: another token, another end, expiry, delete, truncate', async () => {
  const { database, client, ...urls } = await setup();
  await startActiveMirror(urls);
  const tokens = async () => (await client.keys('session:*')).toSorted().join(' ');

  await insertSession(database, 'a');
  await withinASecond('the session', async () => (await tokens()) === 'session:a');
  await database.query(`UPDATE user_sessions SET session_token = 'b', user_id = 2`);
  await withinASecond('the new token alone', async () => (await tokens()) === 'session:b');
  expect(await client.hget('session:b', 'user_id')).toBe('2');
  await database.query(`UPDATE user_sessions SET expires_at = '2099-01-01Z'`);
  const end = Date.UTC(2099, 0, 1);
  await withinASecond('the new end', async () => {
    return (await client.call('PEXPIRETIME', 'session:b')) === end;
  });
  await insertSession(database, 'c');
  // Two rows change places.
  await database.query(`
    UPDATE user_sessions SET session_token = 'x' WHERE session_token = 'b';
    UPDATE user_sessions SET session_token = 'b' WHERE session_token = 'c';
    UPDATE user_sessions SET session_token = 'c' WHERE session_token = 'x'`);
  await withinASecond('them to have changed', async () => {
    const users = await Promise.all(['b', 'c'].map((t) => client.hget(`session:${t}`, 'user_id')));
    return users.join() === '1,2';
  });
  expect(await tokens()).toBe('session:b session:c');
  await database.query(`UPDATE user_sessions SET expires_at = now() WHERE session_token = 'b'`);
  await withinASecond('it to have expired', async () => (await tokens()) === 'session:c');
  await database.query('DELETE FROM user_sessions');
  await withinASecond('it to be deleted', async () => (await tokens()) === '');
  await insertSession(database, 'd');
  await withinASecond('another', async () => (await tokens()) === 'session:d');
  await database.query('TRUNCATE user_sessions');
  await withinASecond('it to go', async () => (await tokens()) === '');
});

test('a touch in Redis alone is not undone', async () => {
  const { database, client, ...urls } = await setup();
  await insertSession(database, 'a');
  await startActiveMirror(urls);
  const later = String(Date.UTC(2026, 5, 1));
  await client.hset('session:a', 'last_accessed', later);
  await database.query('UPDATE user_sessions SET user_id = 2');
  await withinASecond(
    'the update',
    async () => (await client.hget('session:a', 'user_id')) === '2',
  );
  expect(await client.hget('session:a', 'last_accessed')).toBe(later);
});

test('a bulk load and a bulk delete, of more rows than a notification or a page holds', async () => {
  const { database, client, ...urls } = await setup();
  await startActiveMirror(urls);
  await database.query(
    `INSERT INTO user_sessions (user_id, session_token, expires_at)
     SELECT 1, 't' || n, '2100-01-01Z' FROM generate_series(1, 2600) AS n`,
  );
  await waitFor(async () => (await client.dbsize()) === 2600, { what: '2,600 sessions' });
  await database.query('DELETE FROM user_sessions WHERE id % 2 = 0');
  await waitFor(async () => (await client.dbsize()) === 1300, { what: 'half of them to go' });
  // Few enough for one notification, too many for one page of rows.
  await database.query('UPDATE user_sessions SET user_id = 2 WHERE id <= 1000');
  await database.query('UPDATE user_sessions SET user_id = 3 WHERE id > 1000 AND id <= 2000');
  await waitFor(
    async () =>
      (await client.hget('session:t1', 'user_id')) === '2' &&
      (await client.hget('session:t1999', 'user_id')) === '3' &&
      (await client.hget('session:t2599', 'user_id')) === '1',
    { what: 'the updates' },
  );
  expect(await client.dbsize()).toBe(1300);
});

test('a burst of changes to a row is read a few times', async () => {
  const { database, client, ...urls } = await setup();
  await database.query(`INSERT INTO strategies (name, config) VALUES ('a', '0')`);
  const { metrics } = await startActiveMirror(urls);
  const before = await metricValue(metrics.mirrorRows);
  await database.query(`
    DO $$ BEGIN
      FOR i IN 1..1000 LOOP
        UPDATE strategies SET config = to_jsonb(i);
        COMMIT;
      END LOOP;
    END $$`);
  await withinASecond(
    'the last',
    async () => (await client.hget('strategy:1', 'config')) === '1000',
  );
  expect((await metricValue(metrics.mirrorRows)) - before).toBeLessThan(200);
});

test('notifications carry ids, short enough, and never a token', async () => {
  const database = await mirroredDatabase();
  const listener = new Client({ connectionString: database.url });
  await listener.connect();
  onTestFinished(() => listener.end());
  const payloads: string[] = [];
  listener.on('notification', ({ payload = '' }) => payloads.push(payload));
  await listener.query('LISTEN hyperfeed_mirror');

  await insertSession(database, 'canary');
  await database.query(`UPDATE user_sessions SET session_token = 'canary2'`);
  await database.query('UPDATE user_sessions SET id = 5');
  await database.query('DELETE FROM user_sessions WHERE id = 4');
  await database.query('DELETE FROM user_sessions');
  await database.query('INSERT INTO risk_limits (user_id) VALUES (NULL)');
  await database.query('INSERT INTO risk_limits (user_id) VALUES (1), (NULL), (2), (1)');
  await database.query('TRUNCATE risk_limits');
  const many = (from: number, to: number) =>
    database.query(
      `INSERT INTO strategies (id, name) SELECT n, 'x' FROM generate_series($1::int, $2::int) AS n`,
      [from, to],
    );
  await many(2_000_000_001, 2_000_000_500);
  await many(1, 501);
  // Answered after whatever was sent before.
  await database.query(`NOTIFY hyperfeed_mirror, 'end'`);
  await waitFor(() => payloads.includes('end'), { what: 'the notifications' });

  const [long] = payloads.splice(6, 1);
  expect(long).toMatch(/^strategies 20000\d{5}(,20000\d{5}){499}$/);
  expect(payloads.map((payload) => payload.split(',').toSorted().join())).toEqual([
    'user_sessions 1',
    'user_sessions 1',
    '5,user_sessions 1',
    'user_sessions 5',
    '2,risk_limits 1',
    'risk_limits',
    'strategies',
    'end',
  ]);
});

test('two mirrors: one works, the other takes over', async () => {
  const { database, client, ...urls } = await setup();
  const first = await startActiveMirror(urls);
  const second = await startMirror(urls);
  await second.is('standby');
  expect(second.report()).toMatchObject({ reasons: [], status: { state: 'standby' } });
  expect(await metricValue(second.metrics.mirrorActive)).toBe(0);
  await database.query(`INSERT INTO strategies (name) VALUES ('a')`);
  await withinASecond('the row', () => client.exists('strategy:1'));
  expect(await metricValue(second.metrics.mirrorRows)).toBe(0);

  await first.stop();
  await database.query(`DELETE FROM strategies; INSERT INTO strategies (name) VALUES ('b')`);
  await second.is('active');
  expect(Object.keys(await contentsOf(client))).toEqual(['strategies:active', 'strategy:2']);
  expect(await metricValue(second.metrics.mirrorActive)).toBe(1);
});

test('with another prefix it is another mirror', async () => {
  const { database, client, ...urls } = await setup();
  await database.query(`INSERT INTO strategies (name) VALUES ('a')`);
  await startActiveMirror(urls);
  await startActiveMirror({ ...urls, keyPrefix: 'staging:' });
  await database.query('UPDATE strategies SET id = 2');
  await withinASecond('the one', async () => !(await client.exists('strategy:1')));
  await withinASecond('the other', async () => !(await client.exists('staging:strategy:1')));
  expect(Object.keys(await contentsOf(client))).toEqual([
    'staging:strategies:active',
    'staging:strategy:2',
    'strategies:active',
    'strategy:2',
  ]);
});

test('it needs SELECT on its three tables and nothing more', async () => {
  const { database, client, redisUrl } = await setup();
  const role = `${database.name}_mirror`;
  await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
  onTestFinished(async () => {
    await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });
  await database.query(`INSERT INTO strategies (name) VALUES ('a')`);
  const url = new URL(database.url);
  url.username = role;
  url.password = 'x';
  const mirror = await startMirror({ databaseUrl: url.href, redisUrl });
  await waitFor(() => mirror.report().reasons.length, { what: 'a reason' });
  expect(mirror.report().reasons).toEqual([
    {
      code: 'mirror_down',
      severity: 'degraded',
      detail: 'permission denied for table strategies',
    },
  ]);
  await database.query(`GRANT SELECT ON strategies, risk_limits, user_sessions TO ${role}`);
  await mirror.is('active');
  expect(mirror.report().reasons).toEqual([]);
  expect(await client.exists('strategy:1')).toBe(1);
});

test('in the daemon: after the migrations, unless it is switched off', async () => {
  const database = await mirroredDatabase();
  const redisUrl = await redisDatabase();
  const client = redisClient(redisUrl);
  const { settings } = await simulate();
  const urls = { 'database.url': database.url, 'redis.url': redisUrl };
  const off = await startDaemon({ ...settings, ...urls, 'mirror.enabled': false });
  await waitFor(() => off.logged('storing').length, { what: 'the store' });
  expect(await off.page('/status')).not.toHaveProperty('parts.mirror');
  expect(off.logged('mirroring')).toEqual([]);

  const on = await startDaemon({ ...settings, ...urls });
  await waitFor(() => on.logged('mirroring').length, { what: 'the mirror' });
  await database.query(`INSERT INTO strategies (name) VALUES ('a')`);
  await withinASecond('the row', () => client.exists('strategy:1'));
  expect(await on.page('/status')).toMatchObject({ parts: { mirror: { state: 'active' } } });
  expect(
    await database.query(
      `SELECT DISTINCT application_name AS name FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE '%mirror'`,
    ),
  ).toEqual([{ name: 'hyperfeed-binance-mirror' }]);
  const { stragglers } = await on.daemon.stop();
  expect(stragglers).toEqual([]);
});
