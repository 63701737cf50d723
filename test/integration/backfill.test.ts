/** `backfill`: a time range from the history of an exchange, as a user runs it; the exchange is simulated. */
import { expect, onTestFinished, test } from 'vitest';
import {
  environmentOf,
  freshDatabase,
  runHyperfeed,
  simulate,
  startDaemon,
  storedTrades,
} from '../support/daemon.ts';
import {
  BTC,
  migratedDatabase,
  startPast,
  textOf,
  watchedRest,
  wrongRollups,
} from '../support/history.ts';
import { createMigrated } from '../support/schema.ts';
import { waitFor } from '../support/stack.ts';

test('what is not there is stored, longer candles too; a second time nothing is', async () => {
  const { database, backfill } = await startPast();
  const first = await backfill('--trades');
  expect([first.code, first.stderr]).toEqual([0, []]);
  const trades = await storedTrades(database);
  expect(trades.length).toBeGreaterThan(280);
  expect(first.of('trades')).toMatchObject({ stored: trades.length, known: 0, missing: 0 });
  expect(first.of('trades')?.note).toContain(`no trade before`);
  const candles = await textOf(database, 'market_data');
  expect(candles.length).toBeGreaterThan(55);
  expect(first.of('candles')).toMatchObject({ stored: candles.length, known: 0, corrected: 0 });
  expect(first.of('candles')?.missing).toBe(first.of('candles')!.asked - candles.length);
  expect(await wrongRollups(database)).toEqual([]);

  const second = await backfill('--trades');
  expect(second.of('trades')).toMatchObject({ stored: 0, known: trades.length });
  expect(second.of('candles')).toMatchObject({ stored: 0, known: candles.length, corrected: 0 });
  expect(await storedTrades(database)).toEqual(trades);
  expect(await textOf(database, 'market_data')).toEqual(candles);
});

test('rows are those that the WebSocket gave, to the digit', async () => {
  // A minute a second, an hour ago.
  const start = Date.now() - 3_600_000;
  const began = performance.now();
  const clock = () => start + (performance.now() - began) * 60;
  const simulation = await simulate({
    clock,
    symbols: [BTC],
    tradesPerSecond: 0,
    historyCandles: 0,
    klineIntervalMs: 50,
  });
  const streamed = await migratedDatabase();
  const channels = ['trades', 'candles'];
  const settings = { ...simulation.settings, channels };
  const daemon = await startDaemon({ ...settings, 'database.url': streamed.url });
  await simulation.subscribed(2);
  simulation.setRate(20);
  await waitFor(async () => (await textOf(streamed, 'market_data')).length >= 3, {
    what: 'three candles',
  });
  simulation.setRate(0);
  const made = simulation.counters().trades;
  await waitFor(async () => (await storedTrades(streamed)).length === made, { what: 'all trades' });
  await daemon.daemon.stop();

  const asked = await migratedDatabase();
  const env = { ...environmentOf(simulation.settings), DATABASE_URL: asked.url };
  const range = ['--from', '2h ago', '--to', new Date(clock()).toJSON()];
  expect((await runHyperfeed(['backfill', '--trades', ...range], { env })).code).toBe(0);
  expect(await textOf(asked, 'trades')).toEqual(await textOf(streamed, 'trades'));
  const candles = await textOf(asked, 'market_data');
  expect(candles).toEqual(expect.arrayContaining(await textOf(streamed, 'market_data')));
});

test('candles that differ are corrected, unless only missing ones are wanted; longer ones follow', async () => {
  const { database, backfill } = await startPast();
  await backfill();
  const candles = await textOf(database, 'market_data');
  await database.query(`UPDATE market_data SET volume = volume + 1
    WHERE time IN (SELECT time FROM market_data ORDER BY time OFFSET 10 LIMIT 3)`);
  await database.query(`DELETE FROM market_data
    WHERE time IN (SELECT time FROM market_data ORDER BY time OFFSET 20 LIMIT 2)`);
  const missing = await backfill('--missing-only');
  expect(missing.of('candles')).toMatchObject({ stored: 2, corrected: 0 });
  const all = await backfill();
  expect(all.of('candles')).toMatchObject({ stored: 0, corrected: 3, known: candles.length });
  expect(await textOf(database, 'market_data')).toEqual(candles);
  expect(await wrongRollups(database)).toEqual([]);
});

test('gaps are settled where their trades are stored now: open ones, and what was given up', async () => {
  const { database, backfill, simulation } = await startPast();
  await backfill('--trades', '--no-candles');
  const [first, last] = simulation.tradeIds(BTC);
  const gap = (from: number, to: number, status: string, reason: string | null) =>
    database.query(
      `INSERT INTO ingest_gaps (exchange, channel, symbol, from_id, to_id, next_id, from_time, to_time, status, reason, closed_at)
       VALUES ('binance', 'trades', $1, $2, $3, $2, now() - interval '2 hours', now(), $4, $5, CASE WHEN $4 = 'open' THEN NULL ELSE now() END)`,
      [BTC, from, to, status, reason],
    );
  // Ids before the first were never made, so they cannot be had.
  await gap(first - 5, first + 9, 'unfillable', 'too_old');
  await gap(first + 20, first + 29, 'open', null);
  await gap(first + 40, last + 100, 'open', null);
  const { code, of } = await backfill('--trades', '--no-candles');
  expect(code).toBe(0);
  const gaps = await database.query(
    `SELECT from_id::int - $1::int AS "from", to_id::int - $1::int AS "to", next_id::int - $1::int AS next, status, reason,
            rows_filled::int AS rows, (closed_at IS NULL) = (status = 'open') AS closed FROM ingest_gaps ORDER BY from_id`,
    [first],
  );
  const stored = (await storedTrades(database)).length;
  expect(gaps).toEqual([
    { from: -5, to: -1, next: 0, status: 'unfillable', reason: 'too_old', rows: 0, closed: true },
    { from: 0, to: 9, next: 10, status: 'filled', reason: null, rows: 10, closed: true },
    { from: 20, to: 29, next: 30, status: 'filled', reason: null, rows: 10, closed: true },
    {
      from: 40,
      to: last - first + 100,
      next: stored,
      status: 'open',
      reason: null,
      rows: stored - 40,
      closed: true,
    },
  ]);
  expect(of('trades')?.settled).toBe(10 + 10 + stored - 40);
});

test('a daemon of the same exchange goes on meanwhile: each trade once, no gap, no complaint', async () => {
  const { database, simulation, env, startBackfill } = await startPast(2_000);
  const daemon = await startDaemon({ ...simulation.settings, 'database.url': env.DATABASE_URL });
  await simulation.subscribed(3);
  simulation.setRate(200);
  const running = startBackfill('--trades');
  expect(await running.ended).toEqual({ code: 0, signal: null });
  simulation.setRate(0);
  const [first, last] = simulation.tradeIds(BTC);
  const made = simulation.counters().trades;
  await waitFor(
    async () => {
      const ids = (await storedTrades(database)).map(([, id]) => Number(id));
      const live = ids.filter((id) => id > last - made);
      return live.length === made && new Set(ids).size === ids.length && ids[0] === first;
    },
    { what: 'the trades of both' },
  );
  expect(await database.query(`SELECT * FROM ingest_gaps WHERE status = 'open'`)).toEqual([]);
  expect(daemon.log.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  expect(await database.query('SELECT DISTINCT epoch FROM ingest_watermark')).toHaveLength(2);
});

test('half of the rate budget, and no more', async () => {
  const simulation = await simulate({ tradesPerSecond: 0, historyCandles: 5_000, symbols: [BTC] });
  const rest = await watchedRest(simulation.settings['connection.restUrl']);
  const database = await freshDatabase();
  const settings = { ...simulation.settings, 'connection.restUrl': rest.url };
  const env = { ...environmentOf(settings), DATABASE_URL: database.url };
  const flags = ['--trades', '--from', '5d ago'];
  expect((await runHyperfeed(['backfill', ...flags], { env })).code).toBe(0);
  const weightOf = (path: string) =>
    path.endsWith('historicalTrades') ? 25 : path.endsWith('klines') ? 2 : 20;
  const [begin] = rest.requests;
  let spent = 0;
  for (const { path, atMs } of rest.requests) {
    spent += weightOf(path);
    // 3,000 a minute, of which 500 may be spent at once.
    expect(spent).toBeLessThanOrEqual(500 + (atMs - (begin?.atMs ?? 0) + 100) / 20);
  }
  expect(spent).toBeGreaterThan(550);
});

test('months ago on plain PostgreSQL: partitions are made for it', async () => {
  const days = 60 * 86_400_000;
  const clock = () => Date.now() - days;
  const simulation = await simulate({ clock, tradesPerSecond: 0, symbols: [BTC] });
  const database = await createMigrated(false);
  onTestFinished(() => database.drop());
  const env = { ...environmentOf(simulation.settings), DATABASE_URL: database.url };
  const { code, stderr } = await runHyperfeed(['backfill', '--trades', '--from', '61d ago'], {
    env,
  });
  expect([code, stderr.join()]).toEqual([0, expect.any(String)]);
  expect((await storedTrades(database)).length).toBeGreaterThan(280);
  expect((await textOf(database, 'market_data')).length).toBeGreaterThan(55);
  expect(await wrongRollups(database)).toEqual([]);
});
