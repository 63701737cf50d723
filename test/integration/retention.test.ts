/** Rows on both sides of every limit; the clock is the server's and is left alone. */
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runRetentionCommand } from '../../src/commands/retention.ts';
import { configSchema } from '../../src/config.ts';
import { createMetrics } from '../../src/metrics.ts';
import { retentionRules } from '../../src/schema/retention-rules.ts';
import { createRetention } from '../../src/schema/retention-service.ts';
import { runRetention, type RetentionOptions } from '../../src/schema/retention.ts';
import { startDaemon } from '../support/daemon.ts';
import { createMigrated, ENGINES, silent } from '../support/schema.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';

type Retention = ReturnType<typeof configSchema.parse>['retention'];

/** The document's section 4, and how to make a row of each age. */
const CANDLE = `'BTC/USDT', 'binance', 1, 1, 1, 1, 1, 1`;
const SERIES: readonly [table: string, keep: string, rest: string][] = [
  ['market_data', '2 years', CANDLE],
  ['market_data_5m', '5 years', CANDLE],
  ['market_data_15m', '5 years', CANDLE],
  ['market_data_1h', '5 years', CANDLE],
  ['market_data_4h', '5 years', CANDLE],
  ['market_data_1d', '5 years', CANDLE],
  ['order_book', '30 days', `'BTC/USDT', 'binance', '[]', '[]'`],
  ['trades', '1 year', `'BTC/USDT', 'binance', '1', 'buy', 1, 1`],
  [
    'executed_orders',
    '7 years',
    `'1', 'BTC/USDT', 'binance', 'buy', 'limit', 1, 1, 1, 0, 'filled', NULL`,
  ],
  ['performance_metrics', '5 years', `NULL, 'sharpe', 1`],
  ['system_logs', '1 year', `'warn', 'hyperfeed', 'binance', 'text', '{}'`],
];
const AGES = {
  expired: (keep: string) => `now() - INTERVAL '${keep}' - INTERVAL '32 days'`,
  'a minute before its time': (keep: string) => `now() - INTERVAL '${keep}' + INTERVAL '1 minute'`,
  new: () => 'now()',
};

describe.each(ENGINES)('$engine', ({ timescale }) => {
  let database: TestDatabase;
  let clients: Client[];

  beforeEach(async () => {
    clients = [];
    database = await createMigrated(timescale);
    await database.query(`INSERT INTO symbols VALUES ('BTC/USDT', 'binance', 'BTC', 'USDT')`);
  });
  afterEach(async () => {
    for (const client of clients) await client.end();
    await database.drop();
  });

  async function fill(): Promise<void> {
    for (const [table, keep, rest] of SERIES) {
      for (const age of Object.values(AGES)) {
        await database.query(`SELECT hyperfeed_add_partitions('${table}', ARRAY[${age(keep)}])`);
        await database.query(`INSERT INTO ${table} VALUES (${age(keep)}, ${rest})`);
      }
    }
    await database.query(`
      INSERT INTO user_sessions (session_token, expires_at) VALUES
        ('expired', now() - INTERVAL '30 days 1 minute'), ('kept', now() - INTERVAL '29 days 23:59'), ('live', now() + INTERVAL '1 day');
      INSERT INTO risk_events (event_type, severity, triggered_at) VALUES
        ('expired', 'info', now() - INTERVAL '7 years 1 minute'), ('kept', 'info', now() - INTERVAL '7 years' + INTERVAL '1 minute'), ('unknown', 'info', NULL);
      INSERT INTO positions (position_id, symbol, exchange, side, quantity, entry_price, fees, opened_at, closed_at) VALUES
        ('expired', 'BTC/USDT', 'binance', 'long', 1, 1, 0, now() - INTERVAL '8 years', now() - INTERVAL '7 years 1 minute'),
        ('kept', 'BTC/USDT', 'binance', 'long', 1, 1, 0, now() - INTERVAL '8 years', now() - INTERVAL '7 years' + INTERVAL '1 minute'),
        ('open', 'BTC/USDT', 'binance', 'long', 1, 1, 0, now() - INTERVAL '12 years', NULL)`);
  }

  /** Which rows of `fill` are there, by table. */
  async function present(): Promise<Record<string, string[]>> {
    const found: Record<string, string[]> = {};
    for (const [table, keep] of SERIES) {
      const rows = await database.query<{ age: string }>(
        `SELECT CASE WHEN time < now() - INTERVAL '${keep}' THEN 'expired'
                     WHEN time < now() - INTERVAL '1 day' THEN 'a minute before its time' ELSE 'new' END AS age
           FROM ${table} ORDER BY time`,
      );
      found[table] = rows.map(({ age }) => age);
    }
    for (const [table, name] of [
      ['user_sessions', 'session_token'],
      ['risk_events', 'event_type'],
      ['positions', 'position_id'],
    ] as const) {
      const rows = await database.query<{ name: string }>(
        `SELECT ${name} AS name FROM ${table} ORDER BY id`,
      );
      found[table] = rows.map((row) => row.name);
    }
    return found;
  }

  function options(changes: Partial<Retention> = {}): RetentionOptions {
    const config = configSchema.parse({ retention: changes });
    return {
      clientConfig: { connectionString: database.url },
      rules: retentionRules(config.retention),
      compressAfter: null,
      logger: silent,
    };
  }

  const WITHOUT_EXPIRED = {
    ...Object.fromEntries(SERIES.map(([table]) => [table, ['a minute before its time', 'new']])),
    user_sessions: ['kept', 'live'],
    risk_events: ['kept', 'unknown'],
    positions: ['kept', 'open'],
  };

  test('exactly what is past its time goes', async () => {
    await fill();
    const result = await runRetention(options());
    expect(result.mechanism).toBe(timescale ? 'drop_chunks' : 'partitions');
    expect(result.tables.filter(({ problem }) => problem !== undefined)).toEqual([]);
    expect(await present()).toEqual(WITHOUT_EXPIRED);
    for (const [table] of SERIES) {
      expect(result.tables.find((one) => one.table === table)?.parts).toHaveLength(1);
    }
    expect(
      await database.query(`SELECT FROM hyperfeed_series WHERE dropped_before = '-infinity'`),
    ).toEqual([]);
    // Once more: nothing is left to do.
    const again = await runRetention(options());
    expect(again.tables.every(({ parts, rows }) => parts.length + rows === 0)).toBe(true);
  });

  test('a dry run says the same, and changes nothing', async () => {
    await fill();
    const before = await present();
    const looked = await runRetention({ ...options(), dryRun: true });
    expect(await present()).toEqual(before);
    expect(looked.lastRun).toBeUndefined();
    expect(looked.tables).toEqual((await runRetention(options())).tables);
  });

  test('what is kept forever stays, and other times hold as configured', async () => {
    await fill();
    const forever = { executedOrders: 'forever', positions: 'forever', riskEvents: 'forever' };
    await runRetention(options({ ...forever, trades: '10 years', userSessions: '29 days' }));
    const rows = await present();
    expect(rows['executed_orders']).toContain('expired');
    expect(rows['trades']).toContain('expired');
    expect(rows['positions']).toEqual(['expired', 'kept', 'open']);
    expect(rows['risk_events']).toEqual(['expired', 'kept', 'unknown']);
    expect(rows['user_sessions']).toEqual(['live']);
    expect(rows['market_data']).not.toContain('expired');
  });

  test('many rows go in batches', async () => {
    await database.query(
      `INSERT INTO user_sessions (session_token, expires_at)
       SELECT n::text, now() - INTERVAL '31 days' FROM generate_series(1, 10001) AS n`,
    );
    const { tables } = await runRetention(options());
    expect(tables.find(({ table }) => table === 'user_sessions')?.rows).toBe(10_001);
    expect(await database.query('SELECT FROM user_sessions')).toEqual([]);
  });

  test('one at a time', async () => {
    await fill();
    const other = await connect();
    await other.query(`SELECT pg_advisory_lock(hashtext('hyperfeed_retention'), 0)`);
    expect(await runRetention(options())).toMatchObject({ outcome: 'busy', tables: [] });
    expect((await present())['trades']).toContain('expired');
  });

  test('once a day, whoever does it; an hour after one that failed', async () => {
    const due = { ...options(), onlyIfDue: true };
    const outcome = async () => (await runRetention(due)).outcome;
    expect([await outcome(), await outcome()]).toEqual(['done', 'recent']);
    await database.query(`UPDATE hyperfeed_jobs SET ran_at = now() - INTERVAL '23:59'`);
    expect(await outcome()).toBe('recent');
    await database.query(`UPDATE hyperfeed_jobs SET problem = 'trades: locked'`);
    expect([await outcome(), await outcome()]).toEqual(['done', 'recent']);
    await database.query(`UPDATE hyperfeed_jobs SET ran_at = now() - INTERVAL '24:01'`);
    expect(await outcome()).toBe('done');
  });

  test('a writer never queues behind a drop that waits', async () => {
    await fill();
    // What dropping a part of trades needs for itself: symbols, because of the foreign key of the
    // chunk; the table that is partitioned.
    const reader = await connect();
    await reader.query(`BEGIN; SELECT FROM ${timescale ? 'symbols' : 'trades'}`);
    const retention = runRetention(options());
    await waitFor(
      async () =>
        (
          await database.query(
            `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          )
        ).length > 0,
      { what: 'the drop to wait for its lock' },
    );
    const writer = await connect();
    await writer.query(`SET lock_timeout = '5s'`);
    const copy = writer.query(copyFrom('COPY trades FROM STDIN'));
    const row = `${new Date().toISOString()}\tBTC/USDT\tbinance\t2\tbuy\t1\t1\n`;
    // It ends while the reader still has its lock: else it would wait for the reader.
    await pipeline(Readable.from([row]), copy);
    await reader.query('COMMIT');
    expect((await retention).tables.filter(({ problem }) => problem !== undefined)).toEqual([]);
    expect((await present())['trades']).toEqual(['a minute before its time', 'new', 'new']);
  });

  test('a table that cannot be cleared is named, and the others are cleared', async () => {
    await fill();
    await database.query('DROP TABLE risk_events');
    const { tables, lastRun } = await runRetention(options());
    expect(tables.filter(({ problem }) => problem !== undefined)).toEqual([
      expect.objectContaining({
        table: 'risk_events',
        problem: 'relation "risk_events" does not exist',
      }),
    ]);
    expect(lastRun?.problem).toBe('risk_events: relation "risk_events" does not exist');
    expect(await database.query('SELECT FROM positions')).toHaveLength(2);
  });

  test('the service does it once there is a schema, and says so', async () => {
    await fill();
    const schema = Promise.withResolvers<void>();
    const metrics = createMetrics('binance');
    const service = createRetention({ ...options(), schemaReady: schema.promise, metrics });
    await service.start(new AbortController().signal);
    expect(service.report()).toMatchObject({ status: { lastRunAt: null, nextRunAt: null } });
    schema.resolve();
    await waitFor(() => service.report().status['lastRunAt'], { what: 'the first run' });
    const { status, reasons } = service.report();
    expect(reasons).toEqual([]);
    expect(Date.parse(String(status['nextRunAt'])) - Date.parse(String(status['lastRunAt']))).toBe(
      86_400_000,
    );
    expect(await metrics.registry.metrics()).toMatch(
      /hyperfeed_retention_dropped_parts_total\{table="trades",exchange="binance"\} 1\n/,
    );
    await service.stop(new AbortController().signal);
    expect(await present()).toEqual(WITHOUT_EXPIRED);
  });

  test('a daemon does it, and shows it in /status', async () => {
    await fill();
    const { daemon, page } = await startDaemon({
      'database.url': database.url,
      'connection.wsUrl': 'ws://127.0.0.1:9',
      'connection.restUrl': 'http://127.0.0.1:9',
    });
    type Status = { parts: { retention: Record<string, string | null> } };
    const { parts } = await waitFor(
      async () => {
        const status = await page<Status>('/status');
        return status.parts.retention['lastRunAt'] ? status : undefined;
      },
      { what: 'the first run' },
    );
    expect(parts.retention['mechanism']).toBe(timescale ? 'drop_chunks' : 'partitions');
    expect(parts.retention['nextRunAt']).toMatch(/^\d{4}-/);
    expect((await present())['trades']).not.toContain('expired');
    await daemon.stop();
  });

  test('a service that is stopped while it waits lets go', async () => {
    const never = new Promise<void>(() => undefined);
    const metrics = createMetrics('binance');
    const service = createRetention({ ...options(), schemaReady: never, metrics });
    await service.start(new AbortController().signal);
    await service.stop(new AbortController().signal);
    expect(await database.query('SELECT FROM hyperfeed_jobs')).toEqual([]);
  });

  test('retention run prints a line a table', async () => {
    await fill();
    let printed = '';
    const command = {
      databaseUrl: database.url,
      config: configSchema.parse({}),
      write: (text: string) => void (printed += text),
      logger: silent,
    };
    expect(await runRetentionCommand({ ...command, dryRun: true, json: false })).toBe(0);
    expect(printed).toMatch(/\nuser_sessions +30 days +1 rows would go\n/);
    printed = '';
    expect(await runRetentionCommand({ ...command, dryRun: false, json: true })).toBe(0);
    expect(JSON.parse(printed)).toMatchObject({ outcome: 'done', dryRun: false });
  });

  async function connect(): Promise<Client> {
    const client = new Client({ connectionString: database.url });
    await client.connect();
    clients.push(client);
    return client;
  }
});
