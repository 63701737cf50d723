import { Client } from 'pg';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { detectEngine } from '../../src/schema/engine.ts';
import { migrate } from '../../src/schema/migrate.ts';
import { SERIES } from '../../src/schema/series.ts';
import { findDifferences, verifySchema } from '../../src/schema/verify.ts';
import { createDatabase, type TestDatabase } from '../support/stack.ts';

let database: TestDatabase;
let client: Client;

for (const timescale of [true, false]) {
  describe.skipIf(timescale && !inject('timescale'))(`with TimescaleDB: ${timescale}`, () => {
    beforeEach(() => prepare(timescale));
    afterEach(cleanUp);

    test('a migrated database has what the writers need', async () => {
      expect(await findDifferences(client)).toEqual([]);
      await verifySchema(client);
    });

    test.each([
      [
        'a column that is gone',
        'ALTER TABLE market_data DROP COLUMN trades CASCADE',
        'market_data.trades: no such column, must be integer',
      ],
      [
        'another type',
        'ALTER TABLE symbols ALTER COLUMN price_precision TYPE bigint',
        'symbols.price_precision: is bigint, must be integer',
      ],
      [
        'a narrower type',
        'ALTER TABLE symbols ALTER COLUMN base_currency TYPE varchar(10)',
        'symbols.base_currency: is character varying(10) NOT NULL, must be character varying(32) NOT NULL',
      ],
      [
        'another nullability',
        'ALTER TABLE order_book ALTER COLUMN asks SET NOT NULL',
        'order_book.asks: is jsonb NOT NULL, must be jsonb',
      ],
      [
        'a column that no writer fills',
        'ALTER TABLE trades ADD COLUMN venue text NOT NULL',
        'trades.venue: not ours, and NOT NULL without a default: no row can be stored',
      ],
      [
        'a unique key that is gone',
        'ALTER TABLE trades DROP CONSTRAINT trades_time_exchange_symbol_trade_id_key',
        'trades: no unique key on (time, exchange, symbol, trade_id)',
      ],
      [
        'a table that is gone',
        'DROP TABLE ingest_watermark',
        'ingest_watermark: no such table in the search_path; run the migrations',
      ],
    ])('finds %s', async (_, sql, line) => {
      await client.query(sql);
      expect(await findDifferences(client)).toEqual([line]);
    });

    test('does not mind a column of others that needs no value', async () => {
      await client.query(
        `ALTER TABLE symbols ADD COLUMN note text, ADD COLUMN rank int NOT NULL DEFAULT 0`,
      );
      expect(await findDifferences(client)).toEqual([]);
    });

    test('finds a privilege that the role does not have', async () => {
      const role = `${database.name}_writer`;
      await client.query(`CREATE ROLE "${role}"`);
      await client.query(
        `GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO "${role}"`,
      );
      await client.query(`REVOKE INSERT ON trades FROM "${role}"`);
      try {
        await client.query(`SET ROLE "${role}"`);
        expect(await findDifferences(client)).toEqual([
          `trades: role "${role}" may not INSERT; GRANT INSERT ON trades`,
        ]);
      } finally {
        await client.query(`RESET ROLE; DROP OWNED BY "${role}"; DROP ROLE "${role}"`);
      }
    });

    test('at start it names every difference at once', async () => {
      await client.query('ALTER TABLE order_book DROP COLUMN bids; DROP TABLE trades');
      await expect(verifySchema(client)).rejects.toMatchObject({
        code: 'schema_mismatch',
        message:
          'the schema is not what this version writes to:\n' +
          '- order_book.bids: no such column, must be jsonb\n' +
          '- trades: no such table in the search_path; run the migrations',
      });
    });
  });
}

describe.skipIf(!inject('timescale'))('hypertables', () => {
  afterEach(cleanUp);

  test('finds another chunk interval, and its advice cures it', async () => {
    await prepare(true);
    await client.query(`SELECT set_chunk_time_interval('order_book', INTERVAL '7 days')`);
    const [line = '', ...others] = await findDifferences(client);
    expect(others).toEqual([]);
    expect(line).toBe(
      `order_book: has parts of 7 days, must be 1 day; SELECT hyperfeed_partition_by_time('order_book', '1 day')`,
    );
    await client.query(line.split('; ')[1] ?? '');
    expect(await findDifferences(client)).toEqual([]);
  });

  test('an extension that came after the tables: its advice keeps the rows', async () => {
    await prepare(false);
    await client.query(`
      INSERT INTO symbols VALUES ('BTC/USDT', 'binance', 'BTC', 'USDT');
      SELECT hyperfeed_add_partitions('trades', ARRAY['2026-01-01', '2026-03-01']::timestamptz[]);
      GRANT SELECT ON trades TO pg_monitor;
      INSERT INTO trades VALUES ('2026-01-01', 'BTC/USDT', 'binance', '1', 'buy', 1, 1),
                                ('2026-03-01', 'BTC/USDT', 'binance', '2', 'buy', 1, 1);
      ALTER DATABASE "${database.name}" RESET timescaledb.disable_load`);
    await reconnect();
    await client.query('CREATE EXTENSION IF NOT EXISTS timescaledb');
    const lines = await findDifferences(client);
    expect(lines).toEqual(
      SERIES.map(
        ({ table, chunkInterval }) =>
          `${table}: is no hypertable; SELECT hyperfeed_partition_by_time('${table}', '${chunkInterval}')`,
      ),
    );
    for (const line of lines) await client.query(line.split('; ')[1] ?? '');
    expect(await findDifferences(client)).toEqual([]);
    const { rows } = await client.query('SELECT trade_id FROM trades ORDER BY time');
    expect(rows).toEqual([{ trade_id: '1' }, { trade_id: '2' }]);
  });

  test('an extension whose library is not loaded is an error that says so', async () => {
    await prepare(true);
    await client.query(`ALTER DATABASE "${database.name}" SET timescaledb.disable_load = on`);
    await reconnect();
    await expect(detectEngine(client)).rejects.toMatchObject({ code: 'timescaledb_not_loaded' });
  });
});

async function prepare(timescale: boolean): Promise<void> {
  database = await createDatabase({ timescale });
  if (!timescale) {
    // TimescaleDB's own switch: this database is one of a server without it.
    await database.query(`ALTER DATABASE "${database.name}" SET timescaledb.disable_load = on`);
  }
  const clientConfig = { connectionString: database.url };
  await migrate({ clientConfig, logger: pino({ level: 'silent' }) });
  client = new Client(clientConfig);
  await client.connect();
}

async function reconnect(): Promise<void> {
  await client.end();
  client = new Client({ connectionString: database.url });
  await client.connect();
}

async function cleanUp(): Promise<void> {
  await client.end();
  await database.drop();
}
