/** market_data_5m to _1d are at every moment what a recomputation from market_data would give. */
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Candle } from '../../src/ingest/events.ts';
import { ROLLUPS } from '../../src/schema/series.ts';
import { candle, MINUTE, openCandleStore, START, storedLong } from '../support/rollup.ts';
import { recompute } from '../support/rollup-model.ts';
import { createMigrated, ENGINES } from '../support/schema.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';

const DAY = 1440 * MINUTE;

describe.each(ENGINES)('$engine', ({ timescale }) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createMigrated(timescale);
    await database.query(
      `SELECT hyperfeed_add_partitions(name, ARRAY['2026-02-15', '2026-03-15', '2024-01-01']::timestamptz[]) FROM hyperfeed_series`,
    );
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    await clear();
    await database.query(`UPDATE hyperfeed_series SET dropped_before = '-infinity'`);
  });

  async function clear(): Promise<void> {
    await database.query(`TRUNCATE ${['market_data', ...ROLLUPS].join(', ')}`);
  }

  const openStore = () => openCandleStore(database);
  const stored = () => storedLong(database);

  test('any candles in any order, late, corrected, over any batches', async () => {
    await using session = await openStore();
    const candles = fc.array(anyCandle, { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc
        .asyncProperty(fc.array(candles, { minLength: 1, maxLength: 6 }), async (batches) => {
          for (const batch of batches) await session.store(batch);
          expect(await stored()).toEqual(recompute(batches.flat()));
        })
        .beforeEach(clear),
      { numRuns: 60 },
    );
  });

  test('a corrected minute reaches every longer candle', async () => {
    await using session = await openStore();
    const minutes = Array.from({ length: 1440 }, (_, i) => candle(START + i * MINUTE, {}));
    await session.store(minutes);
    const fixed = candle(START + 700 * MINUTE, { high: '99', low: '0.5', volume: '3.000001' });
    await session.store([fixed]);
    const rows = await stored();
    expect(rows).toEqual(recompute([...minutes, fixed]));
    expect(rows.filter(({ high }) => high === '99').map(({ timeframe }) => timeframe)).toEqual([
      '15m',
      '1d',
      '1h',
      '4h',
      '5m',
    ]);
    expect(rows.find(({ timeframe }) => timeframe === '1d')).toMatchObject({
      volume: '1442.000001',
      trades: '1440',
    });
  });

  test('a count that is unknown for a minute is unknown for what the minute is in', async () => {
    await using session = await openStore();
    await session.store([
      candle(START, { trades: 5 }),
      candle(START + MINUTE, { trades: null }),
      candle(START + 5 * MINUTE, { trades: 7 }),
    ]);
    const rows = await stored();
    const counts = rows.map(({ timeframe, trades }) => [timeframe, trades]);
    expect(counts).toEqual([
      ['15m', null],
      ['1d', null],
      ['1h', null],
      ['4h', null],
      ['5m', null],
      ['5m', '7'],
    ]);
  });

  test('two writers with minutes of one bucket: the second waits and counts both', async () => {
    await using first = await openStore();
    await using second = await openStore();
    // Else the second waits for the chunk that the first makes, and not for the roll-up.
    await first.store([candle(START, { symbol: 'ETH/USDT' })]);
    await first.client.query('BEGIN');
    await first.client.query(
      `INSERT INTO market_data VALUES ('2026-03-01', 'BTC/USDT', 'binance', 1, 1, 1, 1, 1, 1);
       SELECT hyperfeed_roll_up(ARRAY['2026-03-01'::timestamptz], ARRAY['binance'], ARRAY['BTC/USDT'])`,
    );
    const storing = second.store([candle(START + MINUTE, { trades: 2 })]);
    await waitFor(
      async () =>
        (
          await database.query(
            `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'`,
          )
        ).length > 0,
      { what: 'the second writer to wait' },
    );
    await first.client.query('COMMIT');
    await storing;
    const rows = (await stored()).filter(({ symbol }) => symbol === 'BTC/USDT');
    expect(rows.map(({ trades }) => trades)).toEqual(['3', '3', '3', '3', '3']);
  });

  test('rows and roll-ups are stored together or not at all', async () => {
    await using session = await openStore();
    await database.query(`ALTER TABLE market_data_4h ADD CONSTRAINT no CHECK (high < 50)`);
    try {
      await expect(session.store([candle(START, { high: '60' })])).rejects.toMatchObject({
        constraint: expect.stringContaining('no') as string,
      });
      await session.client.query('ROLLBACK');
      expect(await database.query('SELECT FROM market_data')).toEqual([]);
      expect(await stored()).toEqual([]);
    } finally {
      await database.query(`ALTER TABLE market_data_4h DROP CONSTRAINT no`);
    }
  });

  test('where retention has dropped the minutes, a part never replaces the whole', async () => {
    await using session = await openStore();
    const whole = Array.from({ length: 10 }, (_, i) => candle(START + i * MINUTE, {}));
    await session.store(whole);
    await database.query(`DELETE FROM market_data`);
    await database.query(
      `UPDATE hyperfeed_series SET dropped_before = '2026-04-01' WHERE name = 'market_data'`,
    );
    await session.store(whole.slice(3, 4));
    expect(await stored()).toEqual(recompute(whole));
    // The whole once more, and a minute that was not known then.
    const more = [...whole, candle(START + 10 * MINUTE, { high: '9' })];
    await session.store(more);
    expect(await stored()).toEqual(recompute(more));
  });

  test('the view shows minutes too, and a filter on timeframe reads one table', async () => {
    await using session = await openStore();
    await session.store([candle(START, {})]);
    const rows = await database.query('SELECT timeframe, trades FROM market_candles');
    expect(rows.map(({ timeframe }) => timeframe as string).toSorted()).toEqual([
      '15m',
      '1d',
      '1h',
      '1m',
      '4h',
      '5m',
    ]);
    const plan = await database.query(
      `EXPLAIN SELECT * FROM market_candles WHERE timeframe = '5m'`,
    );
    expect(JSON.stringify(plan)).not.toMatch(/market_data_(15m|1h|4h|1d)/);
  });
});

const digits = (scale: number) =>
  fc
    .bigInt({ min: 1n, max: 10n ** 24n })
    .map(
      (n) => `${n / 10n ** BigInt(scale)}.${String(n % 10n ** BigInt(scale)).padStart(scale, '0')}`,
    )
    .filter((text) => /[1-9]/.test(text));

/** Few symbols and minutes near the ends of buckets, days and months, so that they meet. */
const anyCandle: fc.Arbitrary<Candle> = fc.record({
  type: fc.constant('candle'),
  exchange: fc.constantFrom('binance', 'kraken'),
  symbol: fc.constantFrom('BTC/USDT', 'ETH/USDT'),
  time: fc
    .tuple(
      fc.constantFrom(-DAY, -15 * MINUTE, 0, 240 * MINUTE, 14 * DAY),
      fc.integer({ min: -7, max: 7 }),
    )
    .map(([near, minutes]) => START + near + minutes * MINUTE),
  receivedAt: fc.constant(START),
  open: digits(8),
  high: digits(18),
  low: digits(8),
  close: digits(2),
  volume: digits(12),
  trades: fc.option(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { freq: 5 }),
});
