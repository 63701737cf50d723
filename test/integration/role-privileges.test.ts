/** All that a user who is a member of hyperfeed_writer or hyperfeed_reader may do; nothing is left out. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMigrated, ENGINES, outcomesOf } from '../support/schema.ts';
import type { TestDatabase } from '../support/stack.ts';

const DENIED = '42501';
const CANDLES = ['', '_5m', '_15m', '_1h', '_4h', '_1d'].map((suffix) => `market_data${suffix}`);
const ADDS = ['SELECT', 'INSERT'];
const CHANGES = ['SELECT', 'INSERT', 'UPDATE'];

const expectedOf = (tables: readonly string[]) => ({
  hyperfeed_writer: {
    ...some(['order_book', 'trades', 'system_logs'], ADDS),
    ...some([...CANDLES, 'symbols'], CHANGES),
    ...some(starting(tables, 'ingest_'), CHANGES),
    ...some(starting(tables, 'hyperfeed_'), ['SELECT']),
    // Mirrored into Redis.
    ...some(['strategies', 'risk_limits', 'user_sessions'], ['SELECT']),
  },
  hyperfeed_reader: {
    ...some([...CANDLES, 'market_candles', 'order_book', 'trades', 'symbols'], ['SELECT']),
    ...some(['executed_orders', 'positions', 'performance_metrics', 'system_logs'], ['SELECT']),
    ...some([...starting(tables, 'ingest_'), ...starting(tables, 'hyperfeed_')], ['SELECT']),
  },
});

const some = (tables: readonly string[], privileges: readonly string[]) =>
  Object.fromEntries(tables.map((table) => [table, privileges]));
const starting = (tables: readonly string[], prefix: string) =>
  tables.filter((table) => table.startsWith(prefix));

describe.each(ENGINES)('$engine', ({ timescale }) => {
  let database: TestDatabase;
  const login = `test_${randomBytes(6).toString('hex')}`;

  beforeAll(async () => {
    database = await createMigrated(timescale);
    await database.query(`CREATE ROLE ${login} LOGIN`);
  });
  afterAll(async () => {
    await database.query(`DROP ROLE ${login}`);
    await database.drop();
  });

  /** As a user of its own: the one who made the database could become anybody again. */
  async function outcomes(role: string, statements: readonly string[]) {
    await database.query(`GRANT ${role} TO ${login}`);
    const url = new URL(database.url);
    url.username = login;
    try {
      return await outcomesOf({ connectionString: url.href }, statements);
    } finally {
      await database.query(`REVOKE ${role} FROM ${login}`);
    }
  }

  const all = (statements: readonly string[], outcome: string) =>
    Object.fromEntries(statements.map((sql) => [sql, outcome]));

  test.each(['hyperfeed_writer', 'hyperfeed_reader'] as const)(
    '%s: each privilege on each table',
    async (role) => {
      const rows = await database.query<{ name: string; privileges: string[] }>(
        `SELECT relname AS name, array_agg(privilege ORDER BY n) AS privileges
         FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'])
           WITH ORDINALITY AS every (privilege, n)
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
           AND NOT relispartition AND has_table_privilege($1, oid, privilege)
         GROUP BY relname`,
        [role],
      );
      const tables = await database.query<{ name: string }>(
        `SELECT relname AS name FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')`,
      );
      const expected = expectedOf(tables.map(({ name }) => name))[role];
      expect(Object.fromEntries(rows.map((row) => [row.name, row.privileges]))).toEqual(expected);
      expect(tables.length).toBeGreaterThan(20);
    },
  );

  test.each(['hyperfeed_writer', 'hyperfeed_reader'])(
    '%s: no way to more than that',
    async (role) => {
      const denied = [
        'SET ROLE hyperfeed_owner',
        'SET ROLE postgres',
        'SET SESSION AUTHORIZATION postgres',
        `ALTER ROLE ${role} SUPERUSER`,
        'CREATE ROLE mine',
        'GRANT SELECT ON users TO hyperfeed_writer',
        'CREATE SCHEMA mine',
        'CREATE TABLE public.mine (n int)',
        `CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
        'CREATE VIEW public.mine AS SELECT 1',
        'ALTER FUNCTION hyperfeed_grant() OWNER TO CURRENT_USER',
        'DROP FUNCTION hyperfeed_grant()',
        'COPY users TO STDOUT',
        'LOCK TABLE api_keys',
        'SELECT * FROM pg_authid',
        `SELECT pg_read_file('postgresql.conf')`,
        `SELECT lo_import('/etc/passwd')`,
        `COPY (SELECT 1) TO PROGRAM 'true'`,
        `COPY symbols FROM '/etc/passwd'`,
        `SET log_statement = 'none'`,
        'CHECKPOINT',
      ];
      expect(await outcomes(role, denied)).toEqual(all(denied, DENIED));
    },
  );

  test('the definers among our functions pin their search_path and are for the writer alone', async () => {
    const definers = await database.query(
      `SELECT proname AS name, proconfig::text AS settings,
         has_function_privilege('hyperfeed_writer', oid, 'EXECUTE') AS writer,
         has_function_privilege('hyperfeed_reader', oid, 'EXECUTE') AS reader
       FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ '^hyperfeed_' AND prosecdef
       ORDER BY proname`,
    );
    expect(definers.length).toBeGreaterThan(0);
    for (const { name, settings, reader } of definers) {
      expect([name, String(settings)]).toEqual([name, expect.stringContaining('search_path')]);
      if (name === 'hyperfeed_add_partitions') expect(reader).toBe(false);
    }
  });
});
