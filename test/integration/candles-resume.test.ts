/** The minutes in which no daemon ran: their candles come from the exchange's history. */
import { expect, test } from 'vitest';
import { migrate } from '../../src/schema/migrate.ts';
import { freshDatabase, simulate, startDaemon, temporaryFolder } from '../support/daemon.ts';
import { silent } from '../support/schema.ts';
import { waitFor } from '../support/stack.ts';

const MINUTE_MS = 60_000;

test.each([
  { minutes: 30, gap: 0 },
  // Longer than the history is asked for: a row says so, and `backfill` can be run.
  { minutes: 1_500, gap: 1 },
])('after $minutes minutes without a daemon', async ({ minutes, gap }) => {
  const database = await freshDatabase();
  await migrate({ clientConfig: { connectionString: database.url }, logger: silent });
  const simulation = await simulate({ symbols: ['BTC/USDT'], historyCandles: 2_000 });
  const last = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - minutes * MINUTE_MS;
  await database.query(
    `INSERT INTO market_data (time, symbol, exchange, open, high, low, close, volume)
     VALUES ($1, 'BTC/USDT', 'binance', 1, 1, 1, 1, 1)`,
    [new Date(last).toISOString()],
  );
  const daemon = await startDaemon({
    ...simulation.settings,
    channels: ['trades', 'candles'],
    'database.url': database.url,
    'spool.directory': await temporaryFolder(),
  });
  simulation.setRate(20);
  const expected = Math.min(minutes, 1_439) - 1;
  const stored = async () =>
    (
      await database.query(
        `SELECT FROM market_data WHERE time > $1 AND time < now() - INTERVAL '1 minute'`,
        [new Date(last).toISOString()],
      )
    ).length;
  await waitFor(async () => (await stored()) >= expected - 1, {
    what: `${expected} candles`,
    timeoutMs: 40_000,
  });
  const [row] = await database.query<{ holes: number }>(
    `SELECT (extract(epoch FROM max(time) - min(time)) / 60 + 1 - count(*))::int AS holes FROM market_data WHERE time > $1`,
    [new Date(last).toISOString()],
  );
  expect(row?.holes).toBe(0);
  await daemon.drained();
  const gaps = await database.query(
    `SELECT channel, reason FROM ingest_gaps WHERE channel = 'candles'`,
  );
  expect(gaps).toEqual(gap === 0 ? [] : [{ channel: 'candles', reason: 'too_old' }]);
});

test('runs that never saw the end of a minute leave no candle out', async () => {
  const database = await freshDatabase();
  await migrate({ clientConfig: { connectionString: database.url }, logger: silent });
  const simulation = await simulate({ symbols: ['BTC/USDT'], historyCandles: 60 });
  const began = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - 5 * MINUTE_MS;
  await database.query(
    `INSERT INTO symbols (symbol, exchange, base_currency, quote_currency) VALUES ('BTC/USDT', 'binance', 'BTC', 'USDT')`,
  );
  await database.query(`INSERT INTO trades VALUES ($1, 'BTC/USDT', 'binance', '1', 'buy', 1, 1)`, [
    new Date(began + 20_000).toISOString(),
  ]);
  await startDaemon({
    ...simulation.settings,
    channels: ['candles'],
    'database.url': database.url,
    'spool.directory': await temporaryFolder(),
  });
  const first = async () =>
    (await database.query<{ first: Date }>('SELECT min(time) AS first FROM market_data'))[0]?.first;
  await waitFor(async () => (await first())?.getTime() === began, {
    what: 'the first candle',
    timeoutMs: 30_000,
  });
  const stored = (await database.query('SELECT FROM market_data')).length;
  // The minute may turn meanwhile.
  expect(stored).toBeGreaterThanOrEqual(5);
  expect(stored).toBeLessThanOrEqual(6);
});
