import { Client } from 'pg';
import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { runMigrate, runMigrateStatus } from '../../src/commands/migrate.ts';
import { MIGRATIONS, readMigrationFiles } from '../../src/schema/history.ts';
import { createMigrated } from '../support/schema.ts';
import { createDatabase, type TestDatabase } from '../support/stack.ts';

const FILES = await readMigrationFiles(MIGRATIONS);

let database: TestDatabase;
let printed: string;

beforeEach(async () => {
  printed = '';
  database = await createDatabase();
  return () => database.drop();
});

test('migrate --dry-run prints the names and the SQL, and changes nothing', async () => {
  const before = await relations();
  expect(await runMigrate({ ...options(), dryRun: true })).toBe(0);
  for (const { name, sql } of FILES) expect(printed).toContain(`-- ${name}.sql\n\n${sql}`);
  expect(await relations()).toEqual(before);
});

test('migrate, then status', async () => {
  expect(await runMigrateStatus(options())).toBe(1);
  expect(printed).toMatch(/0001_engine +pending\n/);
  expect(printed).toContain('! trades: no such table');

  printed = '';
  expect(await runMigrate({ ...options(), dryRun: false })).toBe(0);
  expect(printed).toContain(`applied ${FILES.map(({ name }) => name).join(', ')}\n`);

  printed = '';
  expect(await runMigrateStatus(options())).toBe(0);
  expect(printed).toMatch(/^PostgreSQL \d+/);
  expect(printed).toMatch(/0001_engine +applied +\d{4}-\d\d-\d\dT[\d:.]+Z\n/);
  expect(printed).not.toContain('!');

  printed = '';
  expect(await runMigrate({ ...options(), dryRun: true })).toBe(0);
  expect(printed).toBe('nothing to migrate\n');
});

test('tables of the other kind: explained, with what would change them, and left alone', async () => {
  const plain = await createMigrated(false);
  try {
    await plain.query(`ALTER DATABASE "${plain.name}" RESET timescaledb.disable_load`);
    const [offered] = await plain.query(
      `SELECT FROM pg_available_extensions WHERE name = 'timescaledb'`,
    );
    if (!offered) return;
    const session = new Client({ connectionString: plain.url });
    await session.connect();
    await session.query('CREATE EXTENSION timescaledb');
    await session.end();
    expect(await runMigrate({ ...options(), databaseUrl: plain.url, dryRun: false })).toBe(1);
    expect(printed).toContain(
      `nothing to migrate\n! market_data: is no hypertable; SELECT hyperfeed_partition_by_time('market_data', '1 month')\n`,
    );
    expect(await plain.query(`SELECT relkind FROM pg_class WHERE relname = 'trades'`)).toEqual([
      { relkind: 'p' },
    ]);
  } finally {
    await plain.drop();
  }
});

test('--json prints one document a command', async () => {
  const json = { ...options(), json: true };
  await runMigrate({ ...json, dryRun: true });
  expect(takePrinted()).toEqual({ pending: FILES });
  await runMigrate({ ...json, dryRun: false });
  expect(takePrinted()).toMatchObject({ applied: FILES.map(({ name }) => name) });
  await database.query('DROP TABLE ingest_watermark');
  expect(await runMigrateStatus(json)).toBe(1);
  expect(takePrinted()).toMatchObject({
    engine: { postgres: expect.any(String) as string },
    migrations: FILES.map(({ name }) => ({ name, state: 'applied' })),
    differences: [expect.stringContaining('ingest_watermark') as string],
  });
});

function options() {
  return {
    databaseUrl: database.url,
    json: false,
    write: (text: string) => {
      printed += text;
    },
    logger: pino({ level: 'silent' }),
  };
}

function takePrinted(): unknown {
  const document: unknown = JSON.parse(printed);
  printed = '';
  return document;
}

function relations() {
  return database.query('SELECT oid::text FROM pg_class ORDER BY oid');
}
