/** What the tables of the time series refuse, and what they must not. */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { codeOf } from '../../src/errors.ts';
import { migrate } from '../../src/schema/migrate.ts';
import { createDatabase, type TestDatabase } from '../support/stack.ts';

const CHECK_VIOLATION = '23514';
const DATETIME_OVERFLOW = '22008';
const FOREIGN_KEY_VIOLATION = '23503';
const UNIQUE_VIOLATION = '23505';

type Row = Readonly<Record<string, string | number | null>>;
const STAMP = { time: '2026-01-01T00:00:00Z', symbol: 'BTC/USDT', exchange: 'binance' };
const TRADE: Row = {
  ...STAMP,
  trade_id: '1',
  side: 'buy',
  price: '61837.63000000',
  quantity: '0.001',
};
const CANDLE: Row = {
  ...STAMP,
  open: '4',
  high: '5',
  low: '3',
  close: '4',
  volume: '10',
  trades: 7,
};
const BOOK: Row = { ...STAMP, bids: '[{"price": 1.10, "amount": 2}]', asks: '[]' };
const ORDER: Row = {
  ...STAMP,
  order_id: '1',
  side: 'sell',
  type: 'limit',
  price: '1',
  quantity: '1',
  filled_quantity: '0',
  fees: '-0.1',
  status: 'open',
};
const METRIC: Row = { time: STAMP.time, metric_name: 'sharpe', value: '-1.5' };
const TIME_SERIES: [string, Row][] = [
  ['market_data', CANDLE],
  ['order_book', BOOK],
  ['trades', TRADE],
  ['executed_orders', ORDER],
  ['performance_metrics', METRIC],
];

for (const timescale of [true, false]) {
  describe.skipIf(timescale && !inject('timescale'))(`with TimescaleDB: ${timescale}`, () => {
    let database: TestDatabase;

    beforeAll(async () => {
      database = await createDatabase({ timescale });
      if (!timescale) {
        // TimescaleDB's own switch: this database is one of a server without it.
        await database.query(`ALTER DATABASE "${database.name}" SET timescaledb.disable_load = on`);
      }
      const clientConfig = { connectionString: database.url };
      await migrate({ clientConfig, logger: pino({ level: 'silent' }) });
      await insert('symbols', {
        symbol: 'BTC/USDT',
        exchange: 'binance',
        base_currency: 'BTC',
        quote_currency: 'USDT',
      });
    });
    afterAll(() => database.drop());

    /** 'stored', or the code of the error. */
    async function insert(table: string, row: Row): Promise<string | undefined> {
      const columns = Object.keys(row);
      const places = columns.map((_, index) => `$${index + 1}`);
      try {
        // As the store does when it finds none.
        await database.query('SELECT hyperfeed_add_partitions($1, ARRAY[$2::timestamptz])', [
          table,
          row['time'],
        ]);
        await database.query(
          `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places.join(', ')})`,
          Object.values(row),
        );
        return 'stored';
      } catch (error) {
        return codeOf(error);
      }
    }

    /** What comes of `row` with each of `values` in `column`. */
    async function insertEach(table: string, row: Row, column: string, values: readonly string[]) {
      const outcomes: Record<string, string | undefined> = {};
      for (const value of values)
        outcomes[value] = await insert(table, { ...row, [column]: value });
      return outcomes;
    }

    test.each(TIME_SERIES)('%s takes a legal row, at either end of time', async (table, row) => {
      const times = ['2026-01-01T00:00:00Z', '2009-01-03T00:00:00Z', '2199-12-31T23:59:59.999999Z'];
      expect(await insertEach(table, row, 'time', times)).toEqual(all(times, 'stored'));
    });

    test.each(TIME_SERIES)('%s refuses an absurd time', async (table, row) => {
      const times = [
        '1970-01-20',
        '2009-01-02T23:59:59.999999Z',
        '2200-01-01T00:00:00Z',
        '56799-01-01',
        'infinity',
        '-infinity',
      ];
      expect(await insertEach(table, row, 'time', times)).toEqual({
        ...all(times, CHECK_VIOLATION),
        // TimescaleDB looks for a chunk before it checks.
        ...(timescale && { '-infinity': DATETIME_OVERFLOW }),
      });
    });

    test.each([
      ['trades', TRADE, 'price'],
      ['trades', TRADE, 'quantity'],
      ['market_data', CANDLE, 'open'],
      ['market_data', CANDLE, 'high'],
      ['market_data', CANDLE, 'low'],
      ['market_data', CANDLE, 'close'],
      ['executed_orders', ORDER, 'quantity'],
    ])('%s refuses what is no price or size: %#', async (table, row, column) => {
      const values = ['NaN', 'Infinity', '-Infinity', '0', '-1'];
      expect(await insertEach(table, row, column, values)).toEqual(all(values, CHECK_VIOLATION));
    });

    test('market_data takes a minute without trades, and a count that nobody gave', async () => {
      const quiet = { ...CANDLE, time: '2026-01-01T00:01:00Z', volume: '0', trades: 0 };
      const uncounted = { ...CANDLE, time: '2026-01-01T00:02:00Z', trades: null };
      expect(await insert('market_data', quiet)).toBe('stored');
      expect(await insert('market_data', uncounted)).toBe('stored');
      const values = ['-1', 'NaN', 'Infinity'];
      expect(await insertEach('market_data', CANDLE, 'volume', values)).toEqual(
        all(values, CHECK_VIOLATION),
      );
    });

    test.each([
      ['trades', { ...TRADE, side: 'BUY' }],
      ['executed_orders', { ...ORDER, side: 'long' }],
      ['executed_orders', { ...ORDER, quantity: '0' }],
      ['executed_orders', { ...ORDER, price: 'NaN' }],
      ['market_data', { ...CANDLE, trades: -1 }],
      ['ingest_watermark', { exchange: 'binance', epoch: '0123456789ABCDEF', seq: 1 }],
      ['ingest_watermark', { exchange: 'binance', epoch: '0123', seq: 1 }],
      ['ingest_watermark', { exchange: 'binance', epoch: '0123456789abcdef', seq: -1 }],
    ])('%s refuses %o', async (table, row) => {
      expect(await insert(table, row)).toBe(CHECK_VIOLATION);
    });

    test('trades refuses a symbol that is not in symbols', async () => {
      expect(await insert('trades', { ...TRADE, symbol: 'ETH/USDT' })).toBe(FOREIGN_KEY_VIOLATION);
    });

    test('a symbol that has trades stays', async () => {
      expect(await insert('trades', { ...TRADE, trade_id: 'stays' })).toBe('stored');
      await expect(database.query('DELETE FROM symbols')).rejects.toMatchObject({
        code: FOREIGN_KEY_VIOLATION,
      });
    });

    test.each([
      ['market_data', CANDLE],
      ['order_book', BOOK],
      ['trades', TRADE],
    ])('%s holds a row once', async (table, row) => {
      const twice = { ...row, time: '2026-02-01T00:00:00.123456Z' };
      expect(await insert(table, twice)).toBe('stored');
      expect(await insert(table, twice)).toBe(UNIQUE_VIOLATION);
    });

    test('digits come back as they went in', async () => {
      const exact = {
        price: '0.00000000123456789012345678900',
        quantity: '1000000000000000000.10',
      };
      await insert('trades', { ...TRADE, trade_id: 'exact', ...exact });
      const rows = await database.query(
        `SELECT price::text, quantity::text FROM trades WHERE trade_id = 'exact'`,
      );
      expect(rows).toEqual([exact]);
    });
  });
}

function all(values: readonly string[], outcome: string): Record<string, string> {
  return Object.fromEntries(values.map((value) => [value, outcome]));
}
