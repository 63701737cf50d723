/** What the three roles may do, and what they may not. */
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepareSchema } from '../../src/schema/prepare.ts';
import { retentionRules } from '../../src/schema/retention-rules.ts';
import { runRetention } from '../../src/schema/retention.ts';
import { configSchema } from '../../src/config.ts';
import { createMetrics } from '../../src/metrics.ts';
import { createTransaction } from '../../src/writers/store-transaction.ts';
import { findDifferences } from '../../src/schema/verify.ts';
import type { Candle, Trade } from '../../src/ingest/events.ts';
import { createBatches } from '../support/batch.ts';
import { createEmpty, createMigrated, ENGINES, outcomesOf, silent } from '../support/schema.ts';
import type { TestDatabase } from '../support/stack.ts';

const DENIED = '42501';
const STAMP = { exchange: 'binance', symbol: 'BTC/USDT', receivedAt: 0 };
const at = (time: string) => Date.parse(time) * 1000;

describe.each(ENGINES)('$engine', ({ timescale }) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createMigrated(timescale);
    await database.query(`INSERT INTO symbols VALUES ('BTC/USDT', 'binance', 'BTC', 'USDT')`);
  });
  afterAll(() => database.drop());

  const as = (role: string) => ({ connectionString: database.url, options: `-c role=${role}` });

  const outcomes = (role: string, statements: readonly string[]) =>
    outcomesOf(as(role), statements);

  const all = (statements: readonly string[], outcome: string) =>
    Object.fromEntries(statements.map((sql) => [sql, outcome]));

  test('the writer does all that the store does, in new chunks and for late rows too', async () => {
    const client = new Client(as('hyperfeed_writer'));
    await client.connect();
    try {
      expect(await findDifferences(client)).toEqual([]);
      const transaction = createTransaction({
        exchange: 'binance',
        quarantine: configSchema.parse({}).database.quarantine,
        metrics: createMetrics('binance'),
        logger: silent,
      });
      await transaction.begin(client);
      const candle = {
        type: 'candle',
        ...STAMP,
        open: '1',
        high: '1',
        low: '1',
        close: '1',
        volume: '1',
        trades: 1,
      } as const;
      const trade = {
        type: 'trade',
        ...STAMP,
        side: 'buy',
        price: '1',
        quantity: '1',
        tradeId: '1',
      } as const;
      const events: (Candle | Trade)[] = [
        { ...candle, time: at('2015-03-01') },
        { ...trade, time: at('2015-03-01') },
      ];
      const batch = createBatches()(events);
      if (!timescale) await transaction.addPartitions(client, batch);
      await transaction.store(client, batch);
      expect(await database.query('SELECT FROM market_candles')).toHaveLength(6);
    } finally {
      await client.end();
    }
  });

  test('the writer changes and removes nothing that is history, and sees no secret', async () => {
    const denied = [
      'DELETE FROM trades',
      'UPDATE trades SET price = 1',
      'TRUNCATE market_data',
      'DROP TABLE order_book',
      'ALTER TABLE trades ADD COLUMN note text',
      'CREATE TABLE mine (n int)',
      `UPDATE hyperfeed_series SET dropped_before = 'infinity'`,
      'DELETE FROM hyperfeed_migrations',
      'SELECT * FROM users',
      'SELECT * FROM api_keys',
      'SELECT * FROM exchange_connections',
      'INSERT INTO executed_orders (time) VALUES (now())',
      'UPDATE strategies SET is_active = false',
      'DELETE FROM user_sessions',
      ...(timescale ? [`SELECT drop_chunks('trades', older_than => now())`] : []),
    ];
    expect(await outcomes('hyperfeed_writer', denied)).toEqual(all(denied, DENIED));
  });

  test('the reader reads market data, trading history and logs', async () => {
    const allowed = [
      'trades',
      'market_candles',
      'market_data_1d',
      'order_book',
      'symbols',
      'positions',
      'executed_orders',
      'performance_metrics',
      'system_logs',
      'ingest_watermark',
      'hyperfeed_jobs',
    ].map((name) => `SELECT * FROM ${name}`);
    expect(await outcomes('hyperfeed_reader', allowed)).toEqual(all(allowed, 'done'));
    const denied = [
      ...[
        'users',
        'user_sessions',
        'api_keys',
        'exchange_connections',
        'risk_limits',
        'strategies',
      ].map((name) => `SELECT * FROM ${name}`),
      `INSERT INTO symbols VALUES ('X/Y', 'binance', 'X', 'Y')`,
      'DELETE FROM system_logs',
      `SELECT hyperfeed_add_partitions('trades', ARRAY[now()])`,
      'CREATE TABLE mine (n int)',
    ];
    expect(await outcomes('hyperfeed_reader', denied)).toEqual(all(denied, DENIED));
  });

  test('the owner owns every table and routine, and retention runs as it', async () => {
    const others = await database.query(
      `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') AND relowner <> 'hyperfeed_owner'::regrole
       UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ '^hyperfeed_' AND proname <> 'hyperfeed_notify_mirror' AND proowner <> 'hyperfeed_owner'::regrole`,
    );
    expect(others).toEqual([]);
    await database.query(`SELECT hyperfeed_add_partitions('order_book', ARRAY['2015-01-01'::timestamptz]);
      INSERT INTO order_book VALUES ('2015-01-01', 'BTC/USDT', 'binance', '[]', '[]')`);
    const { tables } = await runRetention({
      clientConfig: as('hyperfeed_owner'),
      rules: retentionRules(configSchema.parse({}).retention),
      compressAfter: null,
      logger: silent,
    });
    expect(tables.filter(({ problem }) => problem !== undefined)).toEqual([]);
    expect(tables.find(({ table }) => table === 'order_book')?.parts).toHaveLength(1);
  });

  test('retention by another than the owner: refused, with what to do', async () => {
    const options = {
      rules: retentionRules(configSchema.parse({}).retention),
      compressAfter: null,
    };
    const run = runRetention({ ...options, clientConfig: as('hyperfeed_writer'), logger: silent });
    await expect(run).rejects.toMatchObject({
      code: 'retention_denied',
      message: expect.stringContaining('database.ownerUrl') as string,
    });
  });

  test('two URLs: one migrates, the other only writes', async () => {
    const empty = await createEmpty(timescale);
    try {
      const session = (role: string) => ({
        connectionString: empty.url,
        options: `-c role=${role}`,
      });
      await empty.query(
        `GRANT CREATE ON SCHEMA public TO hyperfeed_owner; GRANT TEMPORARY ON DATABASE ${empty.name} TO hyperfeed_writer`,
      );
      const options = {
        clientConfig: session('hyperfeed_writer'),
        logger: silent,
        migrations: true,
      };
      await expect(prepareSchema(options)).rejects.toMatchObject({ code: 'migration_denied' });
      await prepareSchema({ ...options, ownerConfig: session('hyperfeed_owner') });
      // Once more, with nothing to migrate: the writer alone will do.
      await prepareSchema(options);
    } finally {
      await empty.drop();
    }
  });
});
