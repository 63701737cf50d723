/**
 * The migrated schema is the document's, table by table. PostgreSQL reads the document: its SQL runs
 * in a database of its own, and the two catalogs are compared. What may differ is listed here, and
 * nothing else may.
 */
import { readFile } from 'node:fs/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Engine } from '../../src/schema/engine.ts';
import { migrate } from '../../src/schema/migrate.ts';
import { createDatabase, type TestDatabase } from '../support/stack.ts';

type Table = { columns: string[]; constraints: string[]; indexes: string[] };
type Catalog = Record<string, Table>;

const TIME_CHECK =
  `CHECK ((("time" >= '2009-01-03 00:00:00+00'::timestamp with time zone) AND ` +
  `("time" < '2200-01-01 00:00:00+00'::timestamp with time zone)))`;
const SIDE_CHECK = `CHECK (((side)::text = ANY ((ARRAY['buy'::character varying, 'sell'::character varying])::text[])))`;
const positive = (column: string) =>
  `CHECK (((${column} > (0)::numeric) AND (${column} < 'Infinity'::numeric)))`;
const notNegative = (column: string) =>
  `CHECK (((${column} >= (0)::numeric) AND (${column} < 'Infinity'::numeric)))`;
const timeIndex = (table: string) =>
  `CREATE INDEX ${table}_time_idx ON public.${table} USING btree ("time" DESC)`;

const WIDER: Readonly<Record<string, string>> = {
  'symbol character varying(20) NOT NULL': 'symbol character varying(64) NOT NULL',
  'base_currency character varying(10) NOT NULL': 'base_currency character varying(32) NOT NULL',
  'quote_currency character varying(10) NOT NULL': 'quote_currency character varying(32) NOT NULL',
};
const ADDED: Readonly<Record<string, { constraints: string[]; indexes: string[] }>> = {
  market_data: {
    constraints: [
      TIME_CHECK,
      ...['open', 'high', 'low', 'close'].map(positive),
      notNegative('volume'),
      'CHECK ((trades >= 0))',
      'UNIQUE ("time", exchange, symbol)',
    ],
    indexes: [
      'CREATE UNIQUE INDEX market_data_time_exchange_symbol_key ON public.market_data USING btree ("time", exchange, symbol)',
    ],
  },
  order_book: {
    constraints: [TIME_CHECK, 'UNIQUE ("time", exchange, symbol)'],
    indexes: [
      'CREATE UNIQUE INDEX order_book_time_exchange_symbol_key ON public.order_book USING btree ("time", exchange, symbol)',
    ],
  },
  trades: {
    constraints: [
      TIME_CHECK,
      SIDE_CHECK,
      positive('price'),
      positive('quantity'),
      'UNIQUE ("time", exchange, symbol, trade_id)',
    ],
    indexes: [
      'CREATE UNIQUE INDEX trades_time_exchange_symbol_trade_id_key ON public.trades USING btree ("time", exchange, symbol, trade_id)',
    ],
  },
  executed_orders: {
    constraints: [TIME_CHECK, SIDE_CHECK, notNegative('price'), positive('quantity')],
    indexes: [timeIndex('executed_orders')],
  },
  performance_metrics: {
    constraints: [TIME_CHECK],
    indexes: [timeIndex('performance_metrics')],
  },
};
const ROLLUPS = ['5m', '15m', '1h', '4h', '1d'].map((frame) => `market_data_${frame}`);
const OUR_TABLES = [
  ...ROLLUPS,
  'hyperfeed_jobs',
  'hyperfeed_migration_checksums',
  'hyperfeed_migrations',
  'hyperfeed_series',
  'ingest_cursor',
  'ingest_gaps',
  'ingest_quarantine',
  'ingest_watermark',
  'system_logs',
];
const CHUNK_DAYS: Readonly<Record<string, number>> = {
  executed_orders: 30,
  market_data: 30,
  order_book: 1,
  performance_metrics: 30,
  trades: 30,
};
const ALL_CHUNK_DAYS = {
  ...CHUNK_DAYS,
  ...Object.fromEntries([...ROLLUPS, 'system_logs'].map((name) => [name, 30])),
};

const DOCUMENT = await readFile(new URL('../../docs/schema-document.md', import.meta.url), 'utf8');

test('the fixture holds the whole document', () => {
  expect(documentStatements().filter((sql) => sql.startsWith('CREATE TABLE'))).toHaveLength(16);
  expect(hypertablesOfDocument()).toEqual(Object.keys(CHUNK_DAYS));
});

for (const timescale of [true, false]) {
  describe.skipIf(timescale && !inject('timescale'))(`with TimescaleDB: ${timescale}`, () => {
    let migrated: TestDatabase;
    let engine: Engine;
    let actual: Catalog;
    let document: Catalog;

    beforeAll(async () => {
      migrated = await createDatabase({ timescale });
      if (!timescale) await keepPlain(migrated);
      ({ engine } = await migrate({
        clientConfig: { connectionString: migrated.url },
        logger: pino({ level: 'silent' }),
      }));
      actual = await readCatalog(migrated);

      const reference = await createDatabase({ timescale: false });
      await runInAnyOrder(reference, documentStatements());
      document = await readCatalog(reference);
      await reference.drop();
    });
    afterAll(() => migrated.drop());

    test('the engine is the one that this is about', () => {
      expect(engine.edition === 'plain').toBe(!timescale);
    });

    test('every table of the document is there, and of others only our bookkeeping', () => {
      expect(Object.keys(actual).toSorted()).toEqual(
        [...Object.keys(document), ...OUR_TABLES].toSorted(),
      );
    });

    test('columns: order, type, nullability, default', () => {
      for (const [table, { columns }] of Object.entries(document)) {
        expect({ table, columns: actual[table]?.columns }).toEqual({
          table,
          columns: columns.map((column) => WIDER[column] ?? column),
        });
      }
    });

    test('keys, foreign keys and checks', () => {
      for (const [table, { constraints }] of Object.entries(document)) {
        expect({ table, constraints: actual[table]?.constraints }).toEqual({
          table,
          constraints: [...constraints, ...(ADDED[table]?.constraints ?? [])].toSorted(),
        });
      }
    });

    test('indexes: name, columns, direction, uniqueness', () => {
      for (const [table, { indexes }] of Object.entries(document)) {
        expect({ table, indexes: actual[table]?.indexes }).toEqual({
          table,
          indexes: [...indexes, ...(ADDED[table]?.indexes ?? [])].toSorted(),
        });
      }
    });

    test.runIf(timescale)('hypertables and the span of their chunks', async () => {
      const rows = await migrated.query(
        `SELECT hypertable_name AS name, (extract(epoch FROM time_interval) / 86400)::int AS days
         FROM timescaledb_information.dimensions WHERE column_name = 'time' ORDER BY hypertable_name`,
      );
      expect(Object.fromEntries(rows.map(({ name, days }) => [name, days]))).toEqual(
        ALL_CHUNK_DAYS,
      );
    });

    test.runIf(!timescale)('partitions: calendar months and days, UTC, a week ahead', async () => {
      const rows = await migrated.query<{ name: string; days: number; ahead: boolean }>(`
        SELECT parent.relname AS name, max(till::date - since::date) AS days,
               bool_and(since = date_trunc('day', since, 'UTC')) AND min(since) <= now()
                 AND max(till) > now() + INTERVAL '7 days' AS ahead
          FROM pg_inherits
          JOIN pg_class parent ON parent.oid = inhparent AND parent.relkind = 'p'
          JOIN pg_class part ON part.oid = inhrelid
         CROSS JOIN LATERAL pg_get_expr(part.relpartbound, part.oid) AS bound
         CROSS JOIN LATERAL (SELECT split_part(bound, '''', 2)::timestamptz AS since,
                                    split_part(bound, '''', 4)::timestamptz AS till) AS span
         GROUP BY parent.relname ORDER BY parent.relname`);
      expect(rows.map(({ name }) => name)).toEqual(Object.keys(ALL_CHUNK_DAYS).toSorted());
      for (const { name, days, ahead } of rows) {
        expect({ name, ahead }).toEqual({ name, ahead: true });
        if (ALL_CHUNK_DAYS[name] === 1) expect(days).toBe(1);
        else expect([28, 29, 30, 31]).toContain(days);
      }
    });
  });
}

function documentStatements(): string[] {
  const blocks = [...DOCUMENT.matchAll(/```sql\n(.*?)```/gs)].map(([, sql]) => sql ?? '');
  return blocks
    .join('\n')
    .replaceAll(/--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement.startsWith('CREATE'));
}

function hypertablesOfDocument(): string[] {
  return [...DOCUMENT.matchAll(/create_hypertable\('(\w+)'/g)].map(([, t]) => t ?? '').toSorted();
}

/** The document's own order does not run: tables refer to later ones. */
async function runInAnyOrder(database: TestDatabase, statements: readonly string[]): Promise<void> {
  const later: string[] = [];
  for (const statement of statements) {
    try {
      await database.query(statement);
    } catch (error) {
      if ((error as { code?: string }).code !== '42P01') throw error;
      later.push(statement);
    }
  }
  expect(later.length).toBeLessThan(statements.length);
  if (later.length > 0) await runInAnyOrder(database, later);
}

async function readCatalog(database: TestDatabase): Promise<Catalog> {
  const rows = await database.query(`
    SELECT c.relname AS name,
           ARRAY(SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
                          CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                          'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid))
                   FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                  ORDER BY a.attnum) AS columns,
           ARRAY(SELECT pg_get_constraintdef(oid) FROM pg_constraint
                  WHERE conrelid = c.oid AND contype IN ('p', 'u', 'f', 'c')) AS constraints,
           ARRAY(SELECT replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_index WHERE indrelid = c.oid) AS indexes
      FROM pg_class c
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace`);
  return Object.fromEntries(
    (rows as (Table & { name: string })[]).map(({ name, columns, constraints, indexes }) => [
      name,
      { columns, constraints: constraints.toSorted(), indexes: indexes.toSorted() },
    ]),
  );
}

/** TimescaleDB's own switch: this database is one of a server without it. */
async function keepPlain(database: TestDatabase): Promise<void> {
  await database.query(`ALTER DATABASE "${database.name}" SET timescaledb.disable_load = on`);
}
