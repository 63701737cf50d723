/** Where a database stands, without changing anything in it. */
import { type Session, withClient } from './connect.ts';
import { detectEngine, type Engine } from './engine.ts';
import {
  type Migration,
  type MigrationFile,
  MIGRATIONS,
  pendingNames,
  readHistory,
  readMigrationFiles,
} from './history.ts';
import { findDifferences } from './verify.ts';

export interface SchemaStatus {
  readonly engine: Engine;
  readonly migrations: readonly Migration[];
  /** What the writers need and do not find, for the role that asks. */
  readonly differences: readonly string[];
}

export interface StatusOptions extends Session {
  readonly directory?: string;
}

export async function migrationStatus({
  directory = MIGRATIONS,
  ...session
}: StatusOptions): Promise<SchemaStatus> {
  const files = await readMigrationFiles(directory);
  return withClient(session, async (client) => ({
    engine: await detectEngine(client),
    migrations: await readHistory(client, files),
    differences: await findDifferences(client),
  }));
}

/** What `migrate` would run now. Refuses what `migrate` refuses. */
export async function pendingMigrations({
  directory = MIGRATIONS,
  ...session
}: StatusOptions): Promise<MigrationFile[]> {
  const files = await readMigrationFiles(directory);
  const history = await withClient(session, (client) => readHistory(client, files));
  const pending = new Set(pendingNames(history));
  return files.filter(({ name }) => pending.has(name));
}
