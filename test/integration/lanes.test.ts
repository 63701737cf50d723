/** Several sessions that store at once, each for some of the symbols: the same rows, exactly once. */
import { expect, test } from 'vitest';
import {
  freshDatabase,
  rowsOf,
  type Settings,
  simulate,
  spawnDaemon,
  startDaemon,
  storedTrades,
  temporaryFolder,
} from '../support/daemon.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';

const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT', 'XRP/USDT', 'ADA/USDT', 'DOGE/USDT'];

const sessions = async (database: TestDatabase) =>
  (
    await database.query(
      `SELECT FROM pg_stat_activity WHERE application_name = 'hyperfeed-binance' AND datname = current_database()`,
    )
  ).length;

async function stage() {
  const database = await freshDatabase();
  const simulation = await simulate({ symbols: SYMBOLS });
  simulation.setRate(0);
  const before = (await simulation.journal()).length;
  const settings: Settings = {
    ...simulation.settings,
    symbols: SYMBOLS,
    'database.url': database.url,
    'spool.directory': await temporaryFolder(),
    'spool.segmentBytes': 65_536,
  };
  return {
    database,
    simulation,
    settings,
    async outcome() {
      simulation.setRate(0);
      const expected = rowsOf((await simulation.journal()).slice(before));
      expect(expected.length).toBeGreaterThan(100);
      await waitFor(async () => (await storedTrades(database)).length >= expected.length, {
        what: 'all trades',
        timeoutMs: 30_000,
      });
      return { stored: await storedTrades(database), expected };
    },
  };
}

test('each symbol has its lane; together they are as one', async () => {
  const { database, simulation, settings, outcome } = await stage();
  const daemon = await startDaemon({ ...settings, 'database.lanes': 3 });
  await simulation.subscribed(SYMBOLS.length * 3);
  simulation.setRate(500);
  await waitFor(async () => (await daemon.value('rowsStored', { table: 'trades' })) > 500, {
    what: 'rows',
    timeoutMs: 30_000,
  });
  expect(await sessions(database)).toBe(3);
  simulation.skipNextTrades('ETH/USDT', 5);
  const { stored, expected } = await outcome();
  expect(stored).toEqual(expected);
  expect(await daemon.value('databaseUp')).toBe(3);
  const { parts } = await daemon.page<{ parts: { store: { lanes: number } } }>('/status');
  expect(parts.store.lanes).toBe(3);
  const epochs = await database.query('SELECT FROM ingest_watermark');
  expect(epochs.length).toBeGreaterThan(1);
  const books = await database.query<{ symbol: string }>('SELECT DISTINCT symbol FROM order_book');
  expect(books).toHaveLength(SYMBOLS.length);
});

test('kill -9 with lanes, then fewer, then more of them: nothing is left behind', async () => {
  const { database, simulation, settings, outcome } = await stage();
  for (const lanes of [4, 1, 2]) {
    const daemon = await spawnDaemon({
      ...settings,
      channels: ['trades'],
      'database.lanes': lanes,
    });
    await daemon.says('running');
    await simulation.subscribed(SYMBOLS.length);
    simulation.setRate(1_000);
    const since = new Date().toISOString();
    await waitFor(
      async () =>
        (
          await database
            .query('SELECT FROM trades WHERE time > $1 OFFSET 200 LIMIT 1', [since])
            // No schema yet.
            .catch(() => [])
        ).length > 0,
      { what: 'flow', timeoutMs: 30_000 },
    );
    daemon.kill('SIGKILL');
    await daemon.ended;
  }
  const last = await startDaemon({ ...settings, channels: ['trades'], 'database.lanes': 1 });
  await simulation.subscribed(SYMBOLS.length);
  await waitFor(async () => (await last.value('rowsStored')) > 0, {
    what: 'flow',
    timeoutMs: 30_000,
  });
  const { stored, expected } = await outcome();
  expect(stored).toEqual(expected);
  await last.drained();
});

test('of two daemons one is active, in all its lanes, whichever session is lost', async () => {
  const { database, simulation, settings, outcome } = await stage();
  const withLanes = async () => ({
    ...settings,
    channels: ['trades'],
    'database.lanes': 3,
    'spool.directory': await temporaryFolder(),
  });
  const daemons = [await startDaemon(await withLanes()), await startDaemon(await withLanes())];
  const roles = () =>
    Promise.all(
      daemons.map(async (daemon) => {
        const { parts } = await daemon.page<{ parts: { store: { role: string } } }>('/status');
        return parts.store.role;
      }),
    );
  const settled = () =>
    waitFor(async () => (await roles()).toSorted().join() === 'active,standby', {
      what: 'one active and one on standby',
      timeoutMs: 20_000,
    });
  await settled();
  await simulation.subscribed(2 * SYMBOLS.length);
  simulation.setRate(500);
  for (let round = 0; round < 6; round++) {
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'hyperfeed-binance' ORDER BY random() LIMIT 2) AS few`,
    );
    const since = new Date().toISOString();
    await waitFor(
      async () =>
        (await database.query('SELECT FROM trades WHERE time > $1 OFFSET 100 LIMIT 1', [since]))
          .length > 0,
      { what: 'flow', timeoutMs: 30_000 },
    );
    await settled();
    const locks = await database.query(
      `SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND classid = (hashtext('hyperfeed_turn')::bigint & 4294967295)::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    expect(locks.length).toBeLessThanOrEqual(1);
    // All of its lanes: none of the rows of the other one goes to disk.
    const standby = daemons[(await roles()).indexOf('standby')];
    await waitFor(async () => (await standby?.value('spoolRowsPending')) === 0, { what: 'quiet' });
  }
  const { stored, expected } = await outcome();
  expect(stored).toEqual(expected);
  expect(await database.query('SELECT FROM ingest_gaps')).toEqual([]);
});
