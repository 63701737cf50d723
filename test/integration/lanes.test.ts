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
        (await database.query('SELECT FROM trades WHERE time > $1 OFFSET 200 LIMIT 1', [since]))
          .length > 0,
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
