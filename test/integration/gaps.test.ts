/**
 * Trades that did not come by the socket: found, refilled from the history or given up in the open,
 * whatever ended the daemon meanwhile. The exchange is simulated, over real sockets.
 */
import { expect, test } from 'vitest';
import { loadAdapter } from '../../src/ingest/registry.ts';
import {
  freshDatabase,
  rowsOf,
  runHyperfeed,
  type Settings,
  type Simulation,
  simulate,
  startDaemon,
  storedTrades,
  type TestDaemon,
  temporaryFolder,
} from '../support/daemon.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';

const BTC = 'BTC/USDT';
const ETH = 'ETH/USDT';

interface GapRow {
  readonly symbol: string;
  readonly from: number;
  readonly to: number;
  readonly status: string;
  readonly rows: number;
  readonly reason: string | null;
}

interface StatusPage {
  readonly reasons: readonly { part: string; code: string; severity: string }[];
}

const gapsOf = (database: TestDatabase) =>
  database.query<GapRow & Record<string, unknown>>(
    `SELECT symbol, from_id::int AS "from", to_id::int AS "to", status, rows_filled::int AS rows, reason
       FROM ingest_gaps ORDER BY symbol, from_id`,
  );

const cursorOf = async (database: TestDatabase, symbol: string) =>
  Number(
    (await database.query('SELECT last_id FROM ingest_cursor WHERE symbol = $1', [symbol]))[0]?.[
      'last_id'
    ],
  );

/** Nothing trades before somebody listens; then the first trade of each symbol is stored. */
async function startFlow(more: Settings = {}) {
  const simulation = await simulate({ tradesPerSecond: 0, historyCandles: 0 });
  const database = await freshDatabase();
  const settings: Settings = {
    ...simulation.settings,
    channels: ['trades'],
    'database.url': database.url,
    'spool.directory': await temporaryFolder(),
    'connection.reconnect.minDelayMs': 20,
    'backfill.patienceMs': 300,
    ...more,
  };
  const daemon = await startDaemon(settings);
  await simulation.subscribed(2);
  await simulation.burst(BTC, 10);
  await simulation.burst(ETH, 10);
  await complete(database, simulation);
  return { simulation, database, daemon, settings };
}

/** Every trade that the exchange made is stored, once, and no gap is open. */
async function complete(database: TestDatabase, simulation: Simulation): Promise<void> {
  const wanted = () => simulation.counters().trades;
  await waitFor(async () => (await storedTrades(database)).length >= wanted(), {
    what: `${wanted()} trades`,
    timeoutMs: 30_000,
  });
  await waitFor(async () => (await gapsOf(database)).every(({ status }) => status !== 'open'), {
    what: 'no gap to be open',
  });
  expect(await storedTrades(database)).toEqual(rowsOf(await simulation.journal()));
}

async function reconnected(simulation: Simulation, daemon: TestDaemon, code?: number) {
  const accepted = simulation.counters().accepted;
  simulation.dropConnections(code);
  await waitFor(() => simulation.counters().accepted > accepted, { what: 'another connection' });
  await waitFor(
    async () =>
      (await daemon.page<{ parts: { feed: { ready: boolean } } }>('/status')).parts.feed.ready,
    { what: 'it to be live' },
  );
}

test('skipped by the socket: the next trade shows it, rows from the history are the same to the digit', async () => {
  const { simulation, database, daemon } = await startFlow();
  const [, last] = simulation.tradeIds(BTC);
  simulation.skipNextTrades(BTC, 2_500);
  await simulation.burst(BTC, 2_510);
  await complete(database, simulation);
  expect(await gapsOf(database)).toEqual([
    { symbol: BTC, from: last + 1, to: last + 2_500, status: 'filled', rows: 2_500, reason: null },
  ]);
  expect(await cursorOf(database, BTC)).toBe(last + 2_510);
  await expectListed(database, last + 1);
  expect(await daemon.value('gapsDetected', { channel: 'trades' })).toBe(1);
  expect(await daemon.value('gapRowsBackfilled')).toBe(2_500);
  expect(await daemon.value('gapsOpen')).toBe(0);
  const { status, reasons } = await daemon.page<{ status: string; reasons: unknown }>('/status');
  expect({ status, reasons }).toEqual({ status: 'ok', reasons: [] });
});

/** By the command. */
async function expectListed(database: TestDatabase, from: number): Promise<void> {
  const list = async (...flags: string[]) => {
    const env = { DATABASE_URL: database.url };
    const { code, stdout } = await runHyperfeed(['gaps', 'list', ...flags], { env });
    expect(code).toBe(0);
    return stdout;
  };
  const [line = '', ...others] = await list('--json', '--exchange', 'binance');
  expect(others).toEqual([]);
  expect(JSON.parse(line)).toMatchObject({
    exchange: 'binance',
    channel: 'trades',
    symbol: BTC,
    fromId: String(from),
    toId: String(from + 2_499),
    status: 'filled',
    rowsFilled: '2500',
    reason: null,
  });
  expect((await list())[1]).toContain(`${BTC}  ${from}  ${from + 2_499}  filled  2500`);
  expect(await list('--open')).toEqual(['no gaps']);
  expect(await list('--exchange', 'kraken', '--json')).toEqual([]);
}

test('a cut during which a symbol trades and then falls quiet: its newest trade is asked for', async () => {
  const { simulation, database, daemon } = await startFlow();
  const [, last] = simulation.tradeIds(BTC);
  // Nobody is told of these, as if they were made while no socket was open.
  simulation.skipNextTrades(BTC, 40);
  await simulation.burst(BTC, 40);
  const requests = simulation.counters().restRequests;
  await reconnected(simulation, daemon);
  await complete(database, simulation);
  // The newest comes as a trade; what is before it, as a gap.
  expect(await gapsOf(database)).toEqual([
    { symbol: BTC, from: last + 1, to: last + 39, status: 'filled', rows: 39, reason: null },
  ]);
  // The newest of both, and one page.
  await waitFor(() => simulation.counters().restRequests - requests >= 3, {
    what: 'all to be asked',
  });
  expect(simulation.counters().restRequests - requests).toBe(3);
});

test('missed while the daemon was down, more than one answer holds', async () => {
  const { simulation, database, daemon, settings } = await startFlow();
  await daemon.daemon.stop();
  await simulation.burst(BTC, 3_456);
  const next = await startDaemon(settings);
  await complete(database, simulation);
  expect(await gapsOf(database)).toMatchObject([{ status: 'filled', rows: 3_455 }]);
  // A gap that is being refilled when the daemon stops is gone on with by the next one.
  simulation.skipNextTrades(ETH, 23_000);
  await simulation.burst(ETH, 23_001);
  await waitFor(async () => (await next.value('gapRowsBackfilled')) >= 5_455, {
    what: 'two pages',
  });
  await next.daemon.stop();
  const [half] = await gapsOf(database).then((gaps) => gaps.filter(({ symbol }) => symbol === ETH));
  expect(half).toMatchObject({ status: 'open' });
  expect(half?.rows).toBeGreaterThanOrEqual(2_000);
  const last = await startDaemon(settings);
  await complete(database, simulation);
  expect(await gapsOf(database)).toMatchObject([{}, { status: 'filled', rows: 23_000 }]);
  expect(await last.value('gapRowsBackfilled')).toBe(23_000 - (half?.rows ?? 0));
});

test('what the history does not show is lost: a row, a counter, a reason of the health', async () => {
  const { simulation, database, daemon, settings } = await startFlow();
  await daemon.daemon.stop();
  // As if a hundred trades before the first that the exchange knows had been seen.
  const [first] = simulation.tradeIds(BTC);
  await database.query('UPDATE ingest_cursor SET last_id = $1 WHERE symbol = $2', [
    first - 100,
    BTC,
  ]);
  await database.query('DELETE FROM trades WHERE symbol = $1', [BTC]);
  const next = await startDaemon(settings);
  await complete(database, simulation);
  const [, last] = simulation.tradeIds(BTC);
  expect(await gapsOf(database)).toEqual([
    {
      symbol: BTC,
      from: first - 99,
      to: first - 1,
      status: 'unfillable',
      rows: 0,
      reason: 'not_in_history',
    },
    { symbol: BTC, from: first, to: last - 1, status: 'filled', rows: 9, reason: null },
  ]);
  expect(await next.value('gapUnfillable', { reason: 'not_in_history' })).toBe(99);
  const said = (of: TestDaemon) => async () =>
    (await of.page<StatusPage>('/health')).reasons.some(
      ({ part, code, severity }) =>
        part === 'gaps' && code === 'gap_unfillable' && severity === 'degraded',
    );
  await waitFor(said(next), { what: 'it to say so' });
  // It is still said by the next one.
  await next.daemon.stop();
  const last2 = await startDaemon(settings);
  await waitFor(said(last2), { what: 'the next one to say so' });
});

test('an exchange without a history by id: the gap is a row all the same', async () => {
  const binance = await loadAdapter('binance');
  const { candles } = binance.history ?? {};
  const simulation = await simulate({ tradesPerSecond: 0, historyCandles: 0 });
  const database = await freshDatabase();
  const daemon = await startDaemon(
    { ...simulation.settings, channels: ['trades'], 'database.url': database.url },
    { ...binance, history: candles ? { candles } : {} },
  );
  await simulation.subscribed(2);
  await simulation.burst(BTC, 5);
  simulation.skipNextTrades(BTC, 7);
  await simulation.burst(BTC, 8);
  await waitFor(async () => (await storedTrades(database)).length === 6, { what: 'the others' });
  expect(await gapsOf(database)).toMatchObject([
    { symbol: BTC, status: 'unfillable', rows: 0, reason: 'no_history' },
  ]);
  expect(await daemon.value('gapUnfillable', { reason: 'no_history' })).toBe(7);
});
