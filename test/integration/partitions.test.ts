/** Time series on a server without TimescaleDB: partitions, ahead and on demand. */
import { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Candle, OrderBookSnapshot, Trade } from '../../src/ingest/events.ts';
import { createMetrics } from '../../src/metrics.ts';
import { findDifferences } from '../../src/schema/verify.ts';
import { actionOf } from '../../src/writers/pg-errors.ts';
import { createMigrated } from '../support/schema.ts';
import type { TestDatabase } from '../support/stack.ts';
import { storeAll } from '../support/store-all.ts';

let database: TestDatabase;
let client: Client;

beforeEach(async () => {
  database = await createMigrated(false);
  client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query(`INSERT INTO symbols VALUES ('BTC/USDT', 'binance', 'BTC', 'USDT')`);
});

afterEach(async () => {
  await client.end();
  await database.drop();
});

test('late rows of every table find a partition, and are stored', async () => {
  const late = [
    trade('2013-02-28T23:59:59Z'),
    trade('2019-07-01T00:00:00Z'),
    candle('2015-05-05T12:34:00Z'),
    book('2020-01-31T00:00:01Z'),
  ];
  const metrics = createMetrics('binance');
  await storeAll(database.url, [late], metrics);
  expect(await partitions('20')).toEqual(
    expect.arrayContaining([
      'market_data_15m_p20150501',
      'market_data_1d_p20150501',
      'market_data_p20150501',
      'order_book_p20200131',
      'trades_p20130201',
      'trades_p20190701',
    ]),
  );
  expect(await count('trades')).toBe(2);
  expect(await count('order_book')).toBe(1);
  expect(await count('market_candles')).toBe(6);
  expect(await metrics.registry.metrics()).toMatch(
    /store_errors_total\{action="partition",exchange="binance"\} 1\n/,
  );
});

test('what is refused by a CHECK is not taken for a row without a partition', async () => {
  const inserted = (sql: string) => client.query(sql).then(() => undefined, actionOf);
  const row = (time: string, price: string) =>
    `INSERT INTO trades VALUES ('${time}', 'BTC/USDT', 'binance', '1', 'buy', ${price}, 1)`;
  expect(await inserted(row('2013-01-01', '1'))).toBe('partition');
  expect(await inserted(row('now', '0'))).toBe('isolate');
  expect(await inserted(row('now', '1'))).toBeUndefined();
});

test('ten at once make each partition once', async () => {
  const clients = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const one = new Client({ connectionString: database.url });
      await one.connect();
      return one;
    }),
  );
  const times = `ARRAY['2014-01-15', '2014-02-15', '2014-03-15']::timestamptz[]`;
  await Promise.all(
    clients.map((one) => one.query(`SELECT hyperfeed_add_partitions('trades', ${times})`)),
  );
  await Promise.all(clients.map((one) => one.end()));
  expect(await partitions('trades_p2014')).toEqual([
    'trades_p20140101',
    'trades_p20140201',
    'trades_p20140301',
  ]);
});

test('nothing is made for a time that no row may have, nor for a table that is not ours', async () => {
  await client.query(`CREATE TABLE foreign_series (time timestamptz) PARTITION BY RANGE (time)`);
  await client.query(
    `SELECT hyperfeed_add_partitions('trades', ARRAY['2008-12-31', '2200-01-01', 'infinity']::timestamptz[])`,
  );
  await client.query(`SELECT hyperfeed_add_partitions('foreign_series', ARRAY[now()])`);
  await client.query(`SELECT hyperfeed_add_partitions('users', ARRAY[now()])`);
  expect(await partitions('trades_p2[^0]|trades_p200|foreign')).toEqual([]);
});

test('months are those of UTC, wherever the session is', async () => {
  await client.query(`SET TimeZone = 'Pacific/Auckland'`);
  await client.query(
    `SELECT hyperfeed_add_partitions('trades', ARRAY['2014-01-31 23:59:59+00', '2014-02-01 00:00:00+00']::timestamptz[])`,
  );
  expect(await partitions('trades_p2014')).toEqual(['trades_p20140101', 'trades_p20140201']);
  await client.query(
    `INSERT INTO trades VALUES ('2014-01-31 23:59:59.999999+00', 'BTC/USDT', 'binance', '1', 'buy', 1, 1)`,
  );
  expect(await database.query('SELECT tableoid::regclass::text AS name FROM trades')).toEqual([
    { name: 'trades_p20140101' },
  ]);
});

test('a plain table of the same shape is found, and the advice keeps rows, keys, grants and the view', async () => {
  await client.query(`
    CREATE TABLE copy (LIKE market_data INCLUDING ALL);
    INSERT INTO copy VALUES ('2016-02-29 12:00', 'BTC/USDT', 'binance', 1, 2, 1, 2, 3, 4), ('2016-03-01', 'BTC/USDT', 'binance', 1, 2, 1, 2, 3, 4);
    DROP TABLE market_data CASCADE;
    ALTER TABLE copy RENAME TO market_data;
    GRANT SELECT ON market_data TO pg_monitor;
    CREATE VIEW yesterday AS SELECT time, close FROM market_data`);
  const before = await shape();
  const lines = await findDifferences(client);
  expect(lines).toEqual([
    `market_data: is not partitioned; SELECT hyperfeed_partition_by_time('market_data', '1 month')`,
  ]);
  await client.query(lines[0]?.split('; ')[1] ?? '');
  expect(await findDifferences(client)).toEqual([]);
  expect(await shape()).toEqual(before);
  expect(await count('yesterday')).toBe(2);
  expect(await partitions('market_data_p2016')).toEqual([
    'market_data_p20160201',
    'market_data_p20160301',
  ]);
});

/** What hangs on market_data. */
function shape() {
  return database.query(`
    SELECT ARRAY(SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'market_data'::regclass AND contype <> 'n' ORDER BY 1) AS constraints,
           ARRAY(SELECT replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_index WHERE indrelid = 'market_data'::regclass ORDER BY 1) AS indexes,
           has_table_privilege('pg_monitor', 'market_data', 'SELECT') AS granted,
           pg_get_viewdef('yesterday') AS view`);
}

async function partitions(pattern: string): Promise<unknown[]> {
  const rows = await database.query(
    `SELECT relname AS name FROM pg_class WHERE relispartition AND relkind = 'r' AND relname ~ $1 ORDER BY relname`,
    [pattern],
  );
  return rows.map(({ name }) => name as unknown);
}

async function count(table: string): Promise<number> {
  return (await database.query(`SELECT FROM ${table}`)).length;
}

const stamp = (time: string) => ({
  exchange: 'binance',
  symbol: 'BTC/USDT',
  time: Date.parse(time) * 1000,
  receivedAt: Date.now() * 1000,
});

function trade(time: string): Trade {
  return { type: 'trade', ...stamp(time), tradeId: time, side: 'buy', price: '1', quantity: '1' };
}

function candle(time: string): Candle {
  return {
    type: 'candle',
    ...stamp(time),
    open: '1',
    high: '1',
    low: '1',
    close: '1',
    volume: '1',
    trades: 1,
  };
}

function book(time: string): OrderBookSnapshot {
  return { type: 'order_book', ...stamp(time), bids: [['1', '1']], asks: [['2', '1']] };
}
