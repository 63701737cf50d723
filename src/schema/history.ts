/** The migrations of this version beside those that the database has had. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClientBase } from 'pg';
import { codeOf, HyperfeedError } from '../errors.ts';
import { loadQuery } from './queries.ts';

export const MIGRATIONS = fileURLToPath(new URL('./migrations', import.meta.url));

export interface MigrationFile {
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

export interface Migration {
  readonly name: string;
  /** changed: the file is not what ran. unknown: the database is ahead of this version. */
  readonly state: 'applied' | 'pending' | 'changed' | 'unknown';
  readonly appliedAt: Date | null;
}

export async function readMigrationFiles(directory: string): Promise<MigrationFile[]> {
  const files = (await readdir(directory)).filter((file) => file.endsWith('.sql'));
  return Promise.all(
    files.toSorted().map(async (file) => {
      // A checkout on Windows must not look like a change.
      const sql = (await readFile(join(directory, file), 'utf8')).replaceAll('\r\n', '\n');
      const sha256 = createHash('sha256').update(sql).digest('hex');
      return { name: file.slice(0, -'.sql'.length), sql, sha256 };
    }),
  );
}

/** In the order in which they ran or will run. */
export async function readHistory(
  client: ClientBase,
  files: readonly MigrationFile[],
): Promise<Migration[]> {
  const rows = await readApplied(client);
  const fileOf = new Map(files.map((file) => [file.name, file]));
  const applied = new Set(rows.map((row) => row.name));
  return [
    ...rows.map(({ name, sha256, applied_at: appliedAt }): Migration => {
      const file = fileOf.get(name);
      const state = !file ? 'unknown' : file.sha256 === sha256 ? 'applied' : 'changed';
      return { name, state, appliedAt };
    }),
    ...files
      .filter(({ name }) => !applied.has(name))
      .map(({ name }): Migration => ({ name, state: 'pending', appliedAt: null })),
  ];
}

/** The names still to run. Refuses a database that this version must not touch. */
export function pendingNames(history: readonly Migration[]): string[] {
  const namesIn = (state: Migration['state']) =>
    history.filter((migration) => migration.state === state).map(({ name }) => name);
  const unknown = namesIn('unknown');
  if (unknown.length > 0) {
    throw new HyperfeedError(
      'schema_ahead',
      `the database is ahead of this version of hyperfeed: it has had ${unknown.join(', ')}; ` +
        'start the version that brought them, or a later one',
    );
  }
  const changed = namesIn('changed');
  if (changed.length > 0) {
    throw new HyperfeedError(
      'migration_changed',
      `${changed.map((name) => `${name}.sql`).join(', ')} changed after it was applied to this database: ` +
        'restore the file, and put the change into a new migration',
    );
  }
  return namesIn('pending');
}

const HISTORY = loadQuery('history');
const UNDEFINED_TABLE = '42P01';

async function readApplied(client: ClientBase): Promise<HistoryRow[]> {
  try {
    return (await client.query<HistoryRow>(HISTORY)).rows;
  } catch (error) {
    // The first migration makes the second of the two tables: one missing, nothing has run.
    if (codeOf(error) === UNDEFINED_TABLE) return [];
    throw error;
  }
}

interface HistoryRow {
  name: string;
  sha256: string | null;
  applied_at: Date | null;
}
