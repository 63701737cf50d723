import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { MIGRATIONS } from '../../src/schema/history.ts';
import { migrate, type MigrateOptions } from '../../src/schema/migrate.ts';
import { migrationStatus } from '../../src/schema/status.ts';
import { createDatabase, type TestDatabase, waitFor } from '../support/stack.ts';

const logger = pino({ level: 'silent' });
const ALL = (await readdir(MIGRATIONS)).toSorted().map((file) => file.replace('.sql', ''));

let database: TestDatabase;

beforeEach(async () => {
  database = await createDatabase();
  return () => database.drop();
});

test('migrates an empty database, and does nothing the second time', async () => {
  expect((await run()).applied).toEqual(ALL);
  const before = await snapshot();
  expect((await run()).applied).toEqual([]);
  expect(await snapshot()).toEqual(before);
});

test('ten daemons at once: one migrates, all come up', async () => {
  const results = await Promise.all(Array.from({ length: 10 }, () => run()));
  const applied = results.map((result) => result.applied).filter((names) => names.length > 0);
  expect(applied).toEqual([ALL]);
  expect(await states()).toEqual(ALL.map((name) => `${name} applied`));
});

describe('interrupted', () => {
  test('killed in the middle: nothing half done, the next start goes on', async () => {
    await run({ directory: await copyOfMigrations({ until: '0003' }) });
    const blocker = await lockSymbols();
    const killed = run().catch((error: unknown) => error);
    await waitForBlocked('relation');
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    expect(await killed).toMatchObject({ code: '57P01' });
    await blocker.release();
    expect(await states()).toEqual(
      ALL.map((name) => `${name} ${name < '0003' ? 'applied' : 'pending'}`),
    );
    expect(await tableExists('market_data')).toBe(false);

    expect((await run()).applied).toEqual(ALL.filter((name) => name >= '0003'));
  });

  test('a lock in the way: tries again until it is gone', async () => {
    await run({ directory: await copyOfMigrations({ until: '0003' }) });
    const blocker = await lockSymbols();
    const waited: unknown[] = [];
    const waiting = run({
      lockTimeoutMs: 100,
      logger: pino({ level: 'warn' }, { write: (line: string) => waited.push(JSON.parse(line)) }),
    });
    await waitFor(() => waited.length > 0, { what: 'the first attempt to give up' });
    await blocker.release();
    expect((await waiting).applied).toEqual(ALL.filter((name) => name >= '0003'));
    expect(waited[0]).toMatchObject({ msg: 'migration waits for a lock' });
  });

  test('aborted while it waits: lets go at once', async () => {
    await run({ directory: await copyOfMigrations({ until: '0003' }) });
    const blocker = await lockSymbols();
    const controller = new AbortController();
    const reason = new Error('shutting down');
    const aborted = run({ signal: controller.signal }).catch((error: unknown) => error);
    await waitForBlocked('relation');
    controller.abort(reason);
    expect(await aborted).toBe(reason);
    await blocker.release();
    expect((await run()).applied).toEqual(ALL.filter((name) => name >= '0003'));
  });
});

describe('refuses', () => {
  test('a migration that fails: named, rolled back, those before it kept', async () => {
    const directory = await copyOfMigrations({
      and: {
        '9998_good': 'CREATE TABLE good ();',
        '9999_bad': 'CREATE TABLE bad (); SELECT 1 / 0;',
      },
    });
    await expect(run({ directory })).rejects.toMatchObject({
      code: 'migration_failed',
      message: '9999_bad.sql failed and was rolled back: division by zero',
    });
    expect([await tableExists('good'), await tableExists('bad')]).toEqual([true, false]);
    expect(await states(directory)).toContain('9999_bad pending');
  });

  test('an applied file that changed: named', async () => {
    const directory = await copyOfMigrations({ and: { '9999_new': 'CREATE TABLE a ();' } });
    await run({ directory });
    await writeFile(join(directory, '9999_new.sql'), 'CREATE TABLE b ();');
    await expect(run({ directory })).rejects.toMatchObject({
      code: 'migration_changed',
      message: expect.stringContaining('9999_new.sql') as string,
    });
    expect(await states(directory)).toContain('9999_new changed');
  });

  test('a database ahead of the code', async () => {
    await run({ directory: await copyOfMigrations({ and: { '9999_new': 'CREATE TABLE a ();' } }) });
    await expect(run()).rejects.toMatchObject({
      code: 'schema_ahead',
      message: expect.stringContaining('9999_new') as string,
    });
    expect(await states()).toContain('9999_new unknown');
  });

  test('a database that a newer version migrated while this one waited for the lock', async () => {
    await run({ directory: await copyOfMigrations({ until: '0003' }) });
    const blocker = await lockSymbols();
    const newer = run({
      directory: await copyOfMigrations({ and: { '9999_new': 'CREATE TABLE a ();' } }),
    });
    await waitForBlocked('relation');
    const older = run().catch((error: unknown) => error);
    await waitForBlocked('advisory');
    await blocker.release();
    expect((await newer).applied).toContain('9999_new');
    expect(await older).toMatchObject({ code: 'schema_ahead' });
  });

  test('a file numbered below one that ran', async () => {
    const directory = await copyOfMigrations({ and: { '9999_new': 'SELECT 1;' } });
    await run({ directory });
    await writeFile(join(directory, '9000_late.sql'), 'SELECT 1;');
    await expect(run({ directory })).rejects.toMatchObject({
      code: 'migration_failed',
      message: expect.stringContaining('9000_late') as string,
    });
  });

  test('a server that takes no writes', async () => {
    await database.query(
      `ALTER DATABASE "${database.name}" SET default_transaction_read_only = on`,
    );
    await expect(run()).rejects.toMatchObject({
      code: 'read_only',
      message: expect.stringContaining('primary') as string,
    });
  });

  test('a role that may not create tables: says who, where and what to grant', () =>
    withRole(async (role) => {
      await expect(run({ clientConfig: as(role) })).rejects.toMatchObject({
        code: 'migration_denied',
        message: expect.stringContaining(`GRANT CREATE ON SCHEMA "public" TO "${role}"`) as string,
      });
    }));
});

test('a role that may not create the extension gets partitioned tables and a warning', () =>
  withRole(async (role) => {
    await database.query('DROP EXTENSION IF EXISTS timescaledb');
    await database.query(`GRANT CREATE ON SCHEMA public TO "${role}"`);
    const warnings: string[] = [];
    const { engine } = await run({
      clientConfig: as(role),
      logger: pino({ level: 'warn' }, { write: (line: string) => void warnings.push(line) }),
    });
    expect(engine.edition).toBe('plain');
    const offered = await database.query(
      `SELECT FROM pg_available_extensions WHERE name = 'timescaledb'`,
    );
    expect(warnings.join('').includes('partitioned tables')).toBe(offered.length === 1);
  }));

test('a server that is not there: the error of the driver, for the caller to wait and try again', async () => {
  await expect(
    run({ clientConfig: { connectionString: 'postgres://x@127.0.0.1:1/x' } }),
  ).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

function run(options: Partial<MigrateOptions> = {}) {
  return migrate({ clientConfig: { connectionString: database.url }, logger, ...options });
}

function as(role: string) {
  return { connectionString: database.url, options: `-c role=${role}` };
}

async function states(directory = MIGRATIONS): Promise<string[]> {
  const clientConfig = { connectionString: database.url };
  const { migrations } = await migrationStatus({ clientConfig, logger, directory });
  return migrations.map(({ name, state }) => `${name} ${state}`);
}

/** Everything that a migration could have made. */
async function snapshot() {
  const rows = await database.query(
    `SELECT (SELECT array_agg(oid::text ORDER BY oid) FROM pg_class WHERE oid >= 16384) AS relations,
            (SELECT jsonb_agg(c ORDER BY name) FROM hyperfeed_migration_checksums c) AS checksums`,
  );
  return rows;
}

async function tableExists(name: string): Promise<boolean> {
  const rows = await database.query('SELECT to_regclass($1) IS NOT NULL AS there', [name]);
  return rows[0]?.there === true;
}

/** Ours before `until`, and more. */
async function copyOfMigrations({
  until = '~',
  and = {},
}: {
  until?: string;
  and?: Record<string, string>;
}): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hyperfeed-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  for (const name of ALL.filter((file) => file < until)) {
    await copyFile(join(MIGRATIONS, `${name}.sql`), join(directory, `${name}.sql`));
  }
  for (const [name, sql] of Object.entries(and)) {
    await writeFile(join(directory, `${name}.sql`), sql);
  }
  return directory;
}

/** Stands in the way of 0003, whose trades refer to symbols. */
async function lockSymbols() {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query('BEGIN; LOCK TABLE symbols IN ROW EXCLUSIVE MODE');
  return { release: () => client.end() };
}

function waitForBlocked(by: 'relation' | 'advisory') {
  const sql = `SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = $1`;
  return waitFor(async () => (await database.query(sql, [by])).length > 0, {
    what: `a session blocked by a lock (${by})`,
  });
}

/** Roles are the server's, not the database's: dropped here, with what they own. */
async function withRole(use: (role: string) => Promise<void>): Promise<void> {
  const role = `${database.name}_role`;
  await database.query(`CREATE ROLE "${role}"`);
  try {
    await use(role);
  } finally {
    await database.query(`DROP OWNED BY "${role}" CASCADE`);
    await database.query(`DROP ROLE "${role}"`);
  }
}
