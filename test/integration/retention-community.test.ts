/**
 * The Community edition cannot be installed here. So its SQL is issued to two servers: the Apache
 * edition has the same functions, which refuse because of the license and not because of how they
 * are called; and stand-ins of them show what is asked for, when, and when it is not.
 */
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { createMetrics } from '../../src/metrics.ts';
import { applyCompression, applyRetentionPolicies } from '../../src/schema/community.ts';
import { createMigrated } from '../support/schema.ts';
import type { TestDatabase } from '../support/stack.ts';
import { storeAll } from '../support/store-all.ts';

const RULES = [
  { table: 'trades', keep: '1 year' },
  { table: 'order_book', keep: '30 days' },
  { table: 'executed_orders', keep: null },
];

let database: TestDatabase;
let client: Client;

async function connect(timescale: boolean): Promise<void> {
  database = await createMigrated(timescale);
  client = new Client({ connectionString: database.url });
  await client.connect();
}

afterEach(async () => {
  await client.end();
  await database.drop();
});

describe.skipIf(!inject('timescale'))('on the Apache edition', () => {
  beforeEach(() => connect(true));

  test('the functions exist as they are called', async () => {
    const license = { code: '0A000', message: expect.stringContaining('license') as string };
    await expect(applyRetentionPolicies(client, RULES)).rejects.toMatchObject(license);
    await expect(applyCompression(client, '7 days')).rejects.toMatchObject(license);
    for (const name of ['remove_retention_policy', 'remove_compression_policy']) {
      await expect(client.query(`SELECT ${name}($1)`, ['trades'])).rejects.toMatchObject(license);
    }
    await expect(
      client.query('SELECT add_compression_policy($1, compress_after => $2::interval)', [
        'trades',
        '7 days',
      ]),
    ).rejects.toMatchObject(license);
  });

  test('a late row that a compressed chunk takes only without the limit is stored', async () => {
    // What the Community edition says, in the same circumstances.
    await client.query(`
      INSERT INTO symbols VALUES ('BTC/USDT', 'binance', 'BTC', 'USDT');
      CREATE FUNCTION limited() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF current_setting('timescaledb.max_tuples_decompressed_per_dml_transaction') <> '0' THEN
          RAISE 'tuple decompression limit exceeded by operation' USING ERRCODE = '53400';
        END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER limited BEFORE INSERT ON trades FOR EACH ROW EXECUTE FUNCTION limited()`);
    const metrics = createMetrics('binance');
    const stamp = { exchange: 'binance', symbol: 'BTC/USDT', time: 1.6e15, receivedAt: 0 };
    await storeAll(
      database.url,
      [[{ type: 'trade', ...stamp, tradeId: '1', side: 'buy', price: '1', quantity: '1' }]],
      metrics,
    );
    expect(await database.query('SELECT FROM trades')).toHaveLength(1);
    expect(await metrics.registry.metrics()).toMatch(
      /store_errors_total\{action="decompress",exchange="binance"\} 1\n/,
    );
  });
});

describe('with stand-ins that write down their calls', () => {
  beforeEach(async () => {
    await connect(false);
    await client.query(`
      CREATE TABLE calls (n serial, call text);
      CREATE SCHEMA timescaledb_information;
      CREATE TABLE timescaledb_information.jobs
        (job_id serial, proc_name name, hypertable_schema name, hypertable_name name, config jsonb);
      CREATE FUNCTION add(kind text, relation regclass, config jsonb) RETURNS void LANGUAGE sql AS $$
        INSERT INTO calls (call) VALUES ('add ' || relation || ' ' || config);
        INSERT INTO timescaledb_information.jobs (proc_name, hypertable_schema, hypertable_name, config)
          VALUES (kind, 'public', relation::text, config) $$;
      CREATE FUNCTION remove(kind text, relation regclass) RETURNS void LANGUAGE sql AS $$
        INSERT INTO calls (call) VALUES ('remove ' || relation);
        DELETE FROM timescaledb_information.jobs WHERE proc_name = kind AND hypertable_name = relation::text $$;
      CREATE FUNCTION add_retention_policy(relation regclass, drop_after interval) RETURNS void LANGUAGE sql AS
        $$ SELECT add('policy_retention', relation, jsonb_build_object('drop_after', drop_after)) $$;
      CREATE FUNCTION remove_retention_policy(relation regclass) RETURNS void LANGUAGE sql AS
        $$ SELECT remove('policy_retention', relation) $$`);
  });

  async function calls(): Promise<unknown[]> {
    const { rows } = await client.query<{ call: string }>('SELECT call FROM calls ORDER BY n');
    await client.query('TRUNCATE calls');
    return rows.map(({ call }) => call);
  }

  test('policies are made once, changed when the configuration changes, and taken away', async () => {
    expect(await applyRetentionPolicies(client, RULES)).toEqual(['trades', 'order_book']);
    expect(await calls()).toEqual([
      'add trades {"drop_after": "1 year"}',
      'add order_book {"drop_after": "30 days"}',
    ]);

    expect(await applyRetentionPolicies(client, RULES)).toEqual([]);
    expect(await calls()).toEqual([]);

    const changed = [
      { table: 'trades', keep: '2 years' },
      { table: 'order_book', keep: null },
    ];
    await applyRetentionPolicies(client, changed);
    expect(await calls()).toEqual([
      'remove trades',
      'add trades {"drop_after": "2 years"}',
      'remove order_book',
    ]);
  });

  test('compression: by exchange and symbol, in the order of time', async () => {
    const sent: string[] = [];
    // ALTER TABLE ... SET (timescaledb...) has no stand-in.
    const recording = {
      query: async (sql: string, values?: unknown[]) => {
        if (/timescaledb_information/.test(sql)) return client.query(sql, values);
        sent.push([sql.replaceAll(/\s+/g, ' '), ...(values ?? [])].join(' | '));
        return { rows: [] };
      },
    } as unknown as Client;
    expect(await applyCompression(recording, null)).toEqual([]);
    const tables = await applyCompression(recording, '7 days');
    expect(tables).toHaveLength(8);
    expect(sent.slice(-4)).toEqual([
      'BEGIN',
      `ALTER TABLE trades SET (timescaledb.compress, timescaledb.compress_segmentby = 'exchange, symbol', timescaledb.compress_orderby = 'time, trade_id')`,
      'SELECT add_compression_policy($1, compress_after => $2::interval) | trades | 7 days',
      'COMMIT',
    ]);
  });
});
