/** Two daemons of one exchange: one stores, the other takes over without a gap. */
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import {
  freshDatabase,
  rowsOf,
  type Settings,
  simulate,
  spawnDaemon,
  startDaemon,
  storedTrades,
  type TestDaemon,
  temporaryFolder,
} from '../support/daemon.ts';
import { startProxy } from '../support/proxy.ts';
import { redisDatabase, type TestDatabase, waitFor } from '../support/stack.ts';
import { startWriting, trade, trades } from '../support/writing.ts';

const CHANNELS = { channels: ['trades', 'order_book'] };
const roleOf = async (daemon: TestDaemon) =>
  (await daemon.page<{ parts: { store: { role: string } } }>('/status')).parts.store.role;
const role = (daemon: TestDaemon, wanted: string) =>
  waitFor(async () => (await roleOf(daemon)) === wanted, { what: `a daemon to be ${wanted}` });
const leaders = (database: TestDatabase) =>
  database.query(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND classid = (hashtext('hyperfeed_turn')::bigint & 4294967295)::oid
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`);

async function stage(settings: Settings = {}) {
  const database = await freshDatabase();
  const simulation = await simulate();
  simulation.setRate(200);
  const common = { ...simulation.settings, ...CHANNELS, 'database.url': database.url, ...settings };
  return {
    database,
    simulation,
    settings: async (): Promise<Settings> => ({
      ...common,
      'spool.directory': await temporaryFolder(),
    }),
    flows: (since = new Date().toISOString()) =>
      waitFor(
        async () =>
          (
            await database
              .query('SELECT FROM trades WHERE time > $1 OFFSET 150 LIMIT 1', [since])
              // No schema yet.
              .catch(() => [])
          ).length > 0,
        { what: 'fresh trades', timeoutMs: 30_000 },
      ),
    /** Everything from the first stored trade of each symbol on, once. */
    async outcome() {
      simulation.setRate(0);
      const expected = rowsOf(await simulation.journal());
      const first = new Map<string, number>();
      for (const [symbol, id] of await storedTrades(database)) {
        if (!first.has(symbol)) first.set(symbol, Number(id));
      }
      const due = expected.filter(([symbol, id]) => Number(id) >= (first.get(symbol) ?? Infinity));
      expect(due.length).toBeGreaterThan(150);
      await waitFor(async () => (await storedTrades(database)).length >= due.length, {
        what: 'all trades to be stored',
        timeoutMs: 30_000,
      });
      return { stored: await storedTrades(database), due };
    },
  };
}

test('the second one waits, spools nothing, and takes over when the first one stops', async () => {
  const { database, settings, flows, outcome } = await stage();
  const one = await startDaemon(await settings());
  await role(one, 'active');
  await flows();
  const two = await startDaemon(await settings());
  await role(two, 'standby');
  await waitFor(async () => (await two.value('standbyRows')) > 50, { what: 'rows on standby' });
  expect(await leaders(database)).toHaveLength(1);
  const health = await two.page<{ status: string }>('/health');
  expect(health.status).toBe('ok');
  await two.drained();
  await one.daemon.stop();
  await role(two, 'active');
  expect(await leaders(database)).toHaveLength(1);
  expect(await two.value('standbyRows')).toBe(0);
  await flows();
  const { stored, due } = await outcome();
  expect(stored).toEqual(due);
  // What both had was not stored twice, and nothing was fetched that was in memory.
  expect(await two.value('rowsDuplicate', { table: 'trades' })).toBeGreaterThan(0);
  expect(await two.value('gapRowsBackfilled')).toBe(0);
});

test('kill -9, back and forth: no trade is missing, doubled or asked for', async () => {
  const { database, settings, flows, outcome } = await stage();
  let active = await spawnDaemon(await settings());
  await active.says('running');
  await flows();
  for (let round = 0; round < 3; round++) {
    const next = await spawnDaemon(await settings());
    await waitFor(() => next.log().some((line) => line['role'] === 'standby'), {
      what: 'a daemon on standby',
      timeoutMs: 30_000,
    });
    await flows();
    active.kill('SIGKILL');
    await active.ended;
    await waitFor(() => next.log().some((line) => line['role'] === 'active'), {
      what: 'the take-over',
      timeoutMs: 30_000,
    });
    await flows();
    active = next;
  }
  const { stored, due } = await outcome();
  expect(stored).toEqual(due);
  expect(await leaders(database)).toHaveLength(1);
  expect(await database.query('SELECT FROM ingest_gaps')).toEqual([]);
});

test('a lost session is not a lost turn, unless another takes it; both store what they have', async () => {
  const { database, settings, flows, outcome } = await stage();
  const one = await startDaemon(await settings());
  await role(one, 'active');
  const two = await startDaemon(await settings());
  await role(two, 'standby');
  for (let round = 0; round < 4; round++) {
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'hyperfeed-binance'`,
    );
    await flows();
    await waitFor(
      async () => {
        const roles = [await roleOf(one), await roleOf(two)].toSorted();
        return roles[0] === 'active' && roles[1] === 'standby';
      },
      { what: 'one active and one on standby', timeoutMs: 20_000 },
    );
  }
  const { stored, due } = await outcome();
  expect(stored).toEqual(due);
});

test('a session that the server still has is not another daemon', async () => {
  const database = await freshDatabase();
  const roles: string[] = [];
  const { write, drained, value } = await startWriting(
    { 'database.url': database.url, 'database.copyTimeoutMs': 500 },
    { turn: 'test', onRole: (now) => roles.push(now) },
  );
  await write(trade(1));
  await drained();
  // The server does not notice that we have gone while the session waits for a lock.
  const blocker = new Client({ connectionString: database.url });
  await blocker.connect();
  onTestFinished(() => blocker.end());
  await blocker.query('BEGIN; LOCK TABLE trades IN SHARE MODE');
  await write(...trades(2, 20));
  await waitFor(async () => (await value('storeErrors', { action: 'reconnect' })) > 1, {
    what: 'another session',
  });
  await blocker.query('COMMIT');
  await drained();
  await waitFor(async () => (await leaders(database)).length === 1, { what: 'the lock' });
  expect(roles).toEqual(['active']);
  expect(await storedTrades(database)).toHaveLength(20);
});

test('on standby without a server nothing is left to a daemon of which nobody can tell', async () => {
  const { database, settings, flows, outcome } = await stage();
  const one = await startDaemon(await settings());
  await role(one, 'active');
  const proxy = await startProxy(database.url);
  const two = await startDaemon({
    ...(await settings()),
    'database.url': proxy.url,
    'standby.keepMs': 6_000,
  });
  await role(two, 'standby');
  await flows();
  proxy.refuse(true);
  proxy.reset();
  await one.daemon.stop();
  await role(two, 'unknown');
  await waitFor(async () => (await two.value('spoolRowsPending')) > 1_000, { what: 'its rows' });
  proxy.refuse(false);
  await role(two, 'active');
  const { stored, due } = await outcome();
  expect(stored).toEqual(due);
  await two.drained();
  expect(await two.value('gapRowsBackfilled')).toBe(0);
});

test('only the active one writes to Redis; the other has the newest values ready', async () => {
  const { settings, flows } = await stage({ 'redis.url': await redisDatabase() });
  const one = await startDaemon(await settings());
  await role(one, 'active');
  const two = await startDaemon(await settings());
  await role(two, 'standby');
  const before = await two.value('redisUpdates');
  await flows();
  expect(await two.value('redisUpdates')).toBe(before);
  await one.daemon.stop();
  await role(two, 'active');
  await waitFor(async () => (await two.value('redisUpdates')) > before, { what: 'its keys' });
});

test('with standby off each stores, and the rows are the same', async () => {
  const { settings, flows, outcome } = await stage({ 'standby.enabled': false });
  const one = await startDaemon(await settings());
  const two = await startDaemon(await settings());
  await role(one, 'active');
  await role(two, 'active');
  await flows();
  const { stored, due } = await outcome();
  expect(stored).toEqual(due);
});

test('one with other symbols is nobody’s standby', async () => {
  const { settings, flows } = await stage();
  const one = await startDaemon({ ...(await settings()), symbols: ['BTC/USDT'] });
  const two = await startDaemon({ ...(await settings()), symbols: ['ETH/USDT'] });
  await role(one, 'active');
  await role(two, 'active');
  await flows();
  expect(await two.value('rowsStored', { table: 'trades' })).toBeGreaterThan(0);
});
