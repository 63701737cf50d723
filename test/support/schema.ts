/** Databases with our schema, on either kind of server. */
import { Client, type ClientConfig } from 'pg';
import { pino } from 'pino';
import { inject } from 'vitest';
import { codeOf } from '../../src/errors.ts';
import { migrate } from '../../src/schema/migrate.ts';
import { createDatabase, type TestDatabase } from './stack.ts';

/** What describe.each needs: TimescaleDB where it is, and a server without it. */
export const ENGINES = [
  { engine: 'TimescaleDB', timescale: true },
  { engine: 'plain PostgreSQL', timescale: false },
].filter(({ timescale }) => !timescale || inject('timescale') !== undefined);

export const silent = pino({ level: 'silent' });

export async function createEmpty(timescale: boolean): Promise<TestDatabase> {
  const database = await createDatabase({ timescale });
  // TimescaleDB's own switch: this database is one of a server without it.
  if (!timescale)
    await database.query(`ALTER DATABASE "${database.name}" SET timescaledb.disable_load = on`);
  return database;
}

export async function createMigrated(timescale: boolean): Promise<TestDatabase> {
  const database = await createEmpty(timescale);
  await migrate({ clientConfig: { connectionString: database.url }, logger: silent });
  return database;
}

/** Of each statement 'done', or the code of its error; undone either way. */
export async function outcomesOf(
  connection: ClientConfig,
  statements: readonly string[],
): Promise<Record<string, string | undefined>> {
  const client = new Client(connection);
  await client.connect();
  try {
    const found: Record<string, string | undefined> = {};
    for (const sql of statements) {
      await client.query('BEGIN');
      found[sql] = await client.query(sql).then(() => 'done', codeOf);
      await client.query('ROLLBACK');
    }
    return found;
  } finally {
    await client.end();
  }
}
