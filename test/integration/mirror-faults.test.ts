/** A mirror whose servers die, freeze, come back empty, refuse or echo what they are told. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { metricValue, redisClient } from '../support/latest.ts';
import {
  contentsOf,
  mirroredDatabase,
  startActiveMirror,
  startMirror,
  withinASecond,
} from '../support/mirror.ts';
import { ownRedis } from '../support/own-servers.ts';
import { startProxy } from '../support/proxy.ts';
import { redisDatabase, type TestDatabase, waitFor } from '../support/stack.ts';

const CANARY = 'canary0token0';

/** One row of each kind; the session's token is the canary. */
const fill = (database: TestDatabase) =>
  database.query(`
    INSERT INTO strategies (name) VALUES ('a');
    INSERT INTO risk_limits (user_id, max_drawdown) VALUES (1, 0.25);
    INSERT INTO user_sessions (user_id, session_token, expires_at)
      VALUES (1, '${CANARY}', '2100-01-01Z')`);
const KEYS = ['risk_limits:1', `session:${CANARY}`, 'strategies:active', 'strategy:1'];

const endSession = (database: TestDatabase) =>
  database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'test-mirror'`,
  );

test('a Redis that was started again, empty, is filled again', async () => {
  const database = await mirroredDatabase();
  await fill(database);
  const server = await ownRedis();
  const client = redisClient(server.url);
  const { is, log } = await startActiveMirror({ databaseUrl: database.url, redisUrl: server.url });
  await server.kill();
  await is('connecting');
  await database.query(`INSERT INTO strategies (name) VALUES ('b')`);
  await server.restart();
  await is('active');
  expect(Object.keys(await contentsOf(client))).toEqual([...KEYS, 'strategy:2']);
  expect(log.join('')).not.toContain(CANARY);
});

test('what changed while the LISTEN session was gone arrives', async () => {
  const database = await mirroredDatabase();
  await fill(database);
  const redisUrl = await redisDatabase();
  const client = redisClient(redisUrl);
  // Nothing of the mirror gets through while the rows change.
  const proxy = await startProxy(database.url);
  const { is, report, log } = await startActiveMirror({ databaseUrl: proxy.url, redisUrl });
  proxy.refuse(true);
  await endSession(database);
  await is('connecting');
  await waitFor(() => report().reasons.length, { what: 'a reason' });
  expect(report().reasons[0]).toMatchObject({ code: 'mirror_down', severity: 'degraded' });
  await database.query(`
    UPDATE strategies SET id = 2; TRUNCATE risk_limits;
    UPDATE user_sessions SET session_token = '${CANARY}2'`);
  proxy.refuse(false);
  await is('active');
  expect(report().reasons).toEqual([]);
  expect(Object.keys(await contentsOf(client))).toEqual([
    `session:${CANARY}2`,
    'strategies:active',
    'strategy:2',
  ]);
  await database.query('DELETE FROM strategies');
  await withinASecond('a change after it', async () => !(await client.exists('strategy:2')));
  expect(log.join('')).not.toContain(CANARY);
});

test('after both sessions were ended, one works and the other stands by', async () => {
  const database = await mirroredDatabase();
  await fill(database);
  const settings = { databaseUrl: database.url, redisUrl: await redisDatabase() };
  const first = await startActiveMirror(settings);
  const second = await startMirror(settings);
  await second.is('standby');
  await endSession(database);
  for (const { metrics } of [first, second]) {
    await waitFor(() => metricValue(metrics.mirrorErrors), { what: 'the loss to be noticed' });
  }
  const states = () => new Set([first.state(), second.state()]);
  await waitFor(() => states().has('active') && states().has('standby'), {
    what: 'one active and one standby mirror',
  });
  expect([first, second].flatMap(({ report }) => report().reasons)).toEqual([]);
});

test('neither PostgreSQL nor Redis at the start', async () => {
  const database = await mirroredDatabase();
  await fill(database);
  const server = await ownRedis();
  const proxy = await startProxy(database.url);
  proxy.refuse(true);
  await server.stop();
  const mirror = await startMirror({ databaseUrl: proxy.url, redisUrl: server.url });
  await waitFor(() => mirror.report().reasons.length, { what: 'Redis to be missed' });
  expect(mirror.report().reasons[0]).toMatchObject({ detail: 'no connection to redis' });
  await server.restart();
  await waitFor(() => mirror.report().reasons[0]?.detail === 'ECONNRESET', {
    what: 'PostgreSQL to be missed',
  });
  expect(mirror.report().ready).toBe(true);
  proxy.refuse(false);
  await mirror.is('active');
  expect(Object.keys(await contentsOf(redisClient(server.url)))).toEqual(KEYS);
});

test('a frozen PostgreSQL is given up, and a frozen Redis', { timeout: 60_000 }, async () => {
  const database = await mirroredDatabase();
  const server = await ownRedis();
  const client = redisClient(server.url);
  const proxy = await startProxy(database.url);
  const settings = { databaseUrl: proxy.url, redisUrl: server.url, statementTimeoutMs: 300 };
  const { is } = await startActiveMirror(settings);
  proxy.stall();
  await is('connecting');
  proxy.reset();
  proxy.resume();
  await is('active');
  server.pause();
  await is('connecting');
  await database.query(`INSERT INTO strategies (name) VALUES ('a')`);
  server.resume();
  await is('active');
  expect(await client.smembers('strategies:active')).toEqual(['1']);
});

test('stops at once, whatever it talks to', async () => {
  const database = await mirroredDatabase();
  const server = await ownRedis();
  const proxy = await startProxy(database.url);
  const { stop, state } = await startActiveMirror({
    databaseUrl: proxy.url,
    redisUrl: server.url,
  });
  proxy.stall();
  server.pause();
  const startedAt = performance.now();
  await stop();
  expect(performance.now() - startedAt).toBeLessThan(1_500);
  expect(state()).toBe('stopped');
});

test(
  'a key that Redis refuses holds nobody up, and is tried again',
  { timeout: 60_000 },
  async () => {
    const database = await mirroredDatabase();
    const redisUrl = await redisDatabase();
    const client = redisClient(redisUrl);
    await client.set('strategy:2', 'not a hash');
    const { report, metrics } = await startActiveMirror({ databaseUrl: database.url, redisUrl });
    await database.query(`INSERT INTO strategies (name) VALUES ('a'), ('b'), ('c')`);
    await withinASecond('the others', () => client.exists('strategy:3'));
    await waitFor(() => report().reasons.length, { what: 'a reason' });
    expect(report().reasons).toEqual([
      { code: 'redis_refused', severity: 'degraded', detail: 'redis answers WRONGTYPE' },
    ]);
    expect(await metricValue(metrics.mirrorErrors)).toBeGreaterThan(0);
    expect(report().status['state']).toBe('active');
    await client.del('strategy:2');
    await waitFor(() => report().reasons.length === 0, { what: 'another try', timeoutMs: 20_000 });
    expect(await client.hget('strategy:2', 'config')).toBe('null');
  },
);

test('tokens are in no log, also when Redis repeats what it was told', async () => {
  const database = await mirroredDatabase();
  await fill(database);
  const redisUrl = await redisDatabase();
  const echo = await echoingProxy(redisUrl);
  const mirror = await startMirror({ databaseUrl: database.url, redisUrl: echo.url });
  await mirror.is('active');
  await database.query('DELETE FROM user_sessions');
  await waitFor(() => echo.echoed(CANARY), { what: 'Redis to repeat the token' });
  await waitFor(() => mirror.report().reasons.length, { what: 'a reason' });
  expect(mirror.report().reasons[0]?.detail).toBe(`redis answers ERR unknown command 'dxl'`);
  expect(mirror.log.join('')).toContain(`unknown command 'dxl'`);
  expect(mirror.log.join('') + JSON.stringify(mirror.report())).not.toContain(CANARY);
});

/** Between a client and a Redis that does not know DEL, and repeats the arguments of what it does not know. */
async function echoingProxy(target: string) {
  const { hostname, port, pathname } = new URL(target);
  let answers = '';
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname);
    onTestFinished(() => void [client, server].map((socket) => socket.destroy()));
    client.on('data', (data) =>
      server.write(data.toString('latin1').replaceAll('\r\ndel\r\n', '\r\ndxl\r\n'), 'latin1'),
    );
    server.on('data', (data) => {
      answers += data.toString('latin1');
      client.write(data);
    });
    for (const socket of [client, server]) socket.on('error', () => {});
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(() => void proxy.close());
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}${pathname}`,
    echoed: (text: string) => answers.includes('ERR unknown command') && answers.includes(text),
  };
}
