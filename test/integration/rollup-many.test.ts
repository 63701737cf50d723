/** Candles in number, as a backfill or a minute of many symbols brings them: straight into their table. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Candle } from '../../src/ingest/events.ts';
import { ROLLUPS } from '../../src/schema/series.ts';
import { candle, MINUTE, openCandleStore, START, storedLong } from '../support/rollup.ts';
import { recompute } from '../support/rollup-model.ts';
import { createMigrated, ENGINES } from '../support/schema.ts';
import type { TestDatabase } from '../support/stack.ts';

const MONTH_IN_MINUTES = 31 * 1440;
/** From START. */
const NOVEMBER = 245 * 1440;

/** Batches, and how each of them has to go. */
const CASES: Record<string, readonly (readonly ['at once' | 'again', readonly Candle[]])[]> = {
  'new ones, a batch after the other, of which the first ends within a bucket': [
    ['at once', minutes(0, 1_003)],
    ['at once', minutes(1_003, 700)],
  ],
  'corrections among them replace what is there': [
    ['at once', minutes(0, 1_003)],
    ['again', minutes(1_000, 700, { high: '9', volume: '0.25', trades: null })],
    // By way of staging from the start now.
    ['at once', minutes(1_500, 600, { low: '0.5' })],
  ],
  'of two versions in one batch the later counts': [
    ['again', [...minutes(0, 600), ...minutes(3, 2, { close: '2.5' }), candle(START, {})]],
  ],
  'few of them replace what is there, and send nothing a second time': [
    ['at once', minutes(0, 600)],
    ['at once', minutes(590, 20, { high: '9' })],
    ['at once', minutes(610, 500)],
  ],
  'minutes of many symbols, one of them of two exchanges': [4, 5, 6].map((minute) => [
    'at once',
    [
      ...Array.from({ length: 600 }, (_, i) => minutes(minute, 1, { symbol: `C${i}/USDT` })).flat(),
      ...minutes(minute + 2, 1, { exchange: 'kraken', symbol: 'C7/USDT' }),
    ],
  ]),
  'symbols that are filled at different times, one with holes': [
    [
      'at once',
      [
        ...minutes(17, 300, { symbol: 'BTC/USDT' }),
        ...minutes(MONTH_IN_MINUTES - 150, 300, { symbol: 'ETH/USDT' }),
        ...minutes(3_000, 4_000, { symbol: 'ODD/USDT' }).filter((_, i) => i % 13 === 0),
      ],
    ],
  ],
  'another symbol of the same time stays as it is': [
    ['at once', minutes(0, 600, { symbol: 'ETH/USDT', volume: '7' })],
    ['at once', minutes(0, 600)],
  ],
  'a symbol with what COPY escapes': [
    ['at once', minutes(0, 500, { symbol: 'tab\tback\\slash/"{},USDT' })],
  ],
};

describe.each(ENGINES)('$engine', ({ timescale }) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createMigrated(timescale);
    await database.query(
      `SELECT hyperfeed_add_partitions(name, ARRAY['2026-03-15', '2026-04-15', '2026-11-15']::timestamptz[]) FROM hyperfeed_series`,
    );
  });
  afterAll(() => database.drop());
  beforeEach(() => database.query(`TRUNCATE ${['market_data', ...ROLLUPS].join(', ')}`));

  test.each(Object.entries(CASES))('%s', async (_, batches) => {
    await using session = await openCandleStore(database);
    for (const [how, candles] of batches) expect(await session.store(candles)).toBe(how);
    const versions = batches.flatMap(([, candles]) => candles);
    expect(await storedLong(database)).toEqual(recompute(versions));
    const keys = new Set(versions.map((one) => `${one.exchange} ${one.symbol} ${one.time}`));
    expect(await database.query('SELECT FROM market_data')).toHaveLength(keys.size);
  });

  test('days are of UTC, also for a session in whose zone one has 25 hours', async () => {
    await using session = await openCandleStore(database);
    await session.client.query(`SET timezone = 'America/New_York'`);
    const days = minutes(NOVEMBER, 2 * 1440);
    const fixed = minutes(NOVEMBER + 700, 1, { high: '9' });
    await session.store(days);
    await session.store(fixed);
    expect(await storedLong(database)).toEqual(recompute([...days, ...fixed]));
  });
});

function minutes(first: number, count: number, values: Partial<Candle> = {}): Candle[] {
  return Array.from({ length: count }, (_, i) =>
    candle(START + (first + i) * MINUTE, {
      open: `${1 + (i % 11) / 10}`,
      close: `${1 + (i % 7) / 10}`,
      ...values,
    }),
  );
}
