/**
 * The schema, owned at start: brings the database to this version, or says why not.
 *
 *   read the history -> nothing to do: no lock is taken
 *                    -> node-pg-migrate under its advisory lock: it reads the history again once it
 *                       has the lock, then runs one transaction a file, in which the file's name and
 *                       checksum are written too: whatever ends it, the next start goes on from there
 *
 * A HyperfeedError is one that trying again does not cure. Any other error is the driver's
 * (unreachable, shutting down, connection lost) and may pass.
 */
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { codeOf, HyperfeedError, messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { planAdoption } from './adopt.ts';
import { type Session, withClient } from './connect.ts';
import { detectEngine, type Engine } from './engine.ts';
import {
  type MigrationFile,
  MIGRATIONS,
  pendingNames,
  readHistory,
  readMigrationFiles,
} from './history.ts';
import { loadQuery } from './queries.ts';

export interface MigrateOptions extends Session {
  /** Where the .sql files are; tests bring their own. */
  readonly directory?: string;
  /** How long to queue for a lock. Whoever wants the table after us waits behind us. */
  readonly lockTimeoutMs?: number;
}

/** lock_not_available, deadlock_detected: everything was rolled back, somebody else was first. */
const LOCK_CODES = new Set(['55P03', '40P01']);
const LOCK_RETRY_MS = 1_000;

export async function migrate({
  clientConfig,
  logger,
  signal,
  directory = MIGRATIONS,
  lockTimeoutMs = 5_000,
}: MigrateOptions): Promise<{ applied: string[]; engine: Engine }> {
  const session = {
    clientConfig: { ...clientConfig, lock_timeout: lockTimeoutMs, query_timeout: 0 },
    logger,
    signal,
  };
  for (;;) {
    try {
      return await withClient(session, (client) => migrateOnce(client, directory, logger));
    } catch (error) {
      if (!LOCK_CODES.has(codeOf(error) ?? '')) throw error;
      logger.warn({ error: messageOf(error) }, 'migration waits for a lock');
      await sleep(LOCK_RETRY_MS, undefined, { signal });
    }
  }
}

async function migrateOnce(client: Client, directory: string, logger: Logger) {
  const files = await readMigrationFiles(directory);
  let applied: string[] = [];
  const pending = pendingNames(await readHistory(client, files));
  if (pending.length > 0) {
    applied = await applyPending(client, files, pending, directory, logger);
    // A newer version may have migrated while this one waited for the lock.
    pendingNames(await readHistory(client, files));
  }
  return { applied, engine: await detectEngine(client) };
}

async function applyPending(
  client: Client,
  files: readonly MigrationFile[],
  pending: readonly string[],
  directory: string,
  logger: Logger,
): Promise<string[]> {
  const migrationsSchema = await requireSchema(client);
  // An index on a large table takes as long as it takes, whatever the role's default.
  await client.query('SET statement_timeout = 0');
  const adopted = await planAdoption(client, files, pending, migrationsSchema);
  if (adopted.length > 0) logger.warn({ tables: adopted }, 'adopting tables that were there');
  let current = '';
  const load = (path: string) => {
    const { name, sql, sha256 } = files.find((file) => `${file.name}.sql` === basename(path))!;
    const up = (builder: { sql(text: string): void }) => {
      current = name;
      logger.info({ migration: name }, 'migration running');
      builder.sql(sql);
      builder.sql(GRANT);
      builder.sql(`INSERT INTO hyperfeed_migration_checksums VALUES ('${name}', '${sha256}')`);
    };
    return { id: path, filePaths: [path], actions: { up, down: false as const } };
  };
  // Only where there is something to migrate: it takes 16 MB.
  const { runner } = await import('node-pg-migrate');
  const talk = (text: string) => logger.debug({ text }, 'node-pg-migrate');
  try {
    const ran = await runner({
      dbClient: client,
      dir: directory,
      direction: 'up',
      migrationsTable: 'hyperfeed_migrations',
      migrationsSchema,
      advisoryLockMode: 'wait',
      // All or nothing where tables are adopted: a crash in between would leave some of them set aside.
      singleTransaction: adopted.length > 0,
      migrationLoaderStrategies: [
        { extensions: ['.sql'], loader: async (paths) => paths.map(load) },
      ],
      logger: { info: talk, warn: talk, error: talk },
    });
    return ran.map(({ name }) => name);
  } catch (error) {
    if (MAY_PASS.test(codeOf(error) ?? '') || !(await isAlive(client))) throw error;
    const what =
      current === ''
        ? 'the migrations could not start'
        : `${current}.sql failed and was rolled back`;
    throw new HyperfeedError('migration_failed', `${what}: ${messageOf(error)}`, { cause: error });
  }
}

/** Resources are short, the server shuts down, or a lock was in the way. */
const MAY_PASS = /^(53|57P|55P03|40P01)/;

/** node-pg-migrate leaves a failed transaction open, and gives no code to most of its errors. */
function isAlive(client: Client): Promise<boolean> {
  return client.query('ROLLBACK').then(
    () => true,
    () => false,
  );
}

/** Tables of this migration for the roles of an earlier one. */
const GRANT = `DO $$ BEGIN
  IF to_regproc('hyperfeed_grant') IS NOT NULL THEN PERFORM hyperfeed_grant(); END IF;
END $$`;
const TARGET = loadQuery('target');

async function requireSchema(client: Client): Promise<string> {
  const { rows } = await client.query<TargetRow>(TARGET);
  const { role, schema, read_only: readOnly, may_create: mayCreate } = rows[0] as TargetRow;
  if (readOnly) {
    throw new HyperfeedError(
      'read_only',
      'this server takes no writes (a standby, or default_transaction_read_only): migrate on the primary',
    );
  }
  if (schema !== null && mayCreate) return schema;
  throw new HyperfeedError(
    'migration_denied',
    schema === null
      ? `no schema of the search_path of role "${role}" exists: create one, or set search_path`
      : `role "${role}" may not create tables in schema "${schema}": run \`hyperfeed migrate\` as its owner, ` +
          `or GRANT CREATE ON SCHEMA "${schema}" TO "${role}"`,
  );
}

interface TargetRow {
  role: string;
  schema: string | null;
  read_only: boolean;
  may_create: boolean;
}
