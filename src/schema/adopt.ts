/**
 * A database in which somebody made the document's tables by hand. The migrations adopt them in
 * place, rows and all; this looks beforehand whether that can be, and says what stands in the way
 * with the command that mends it. Nothing is deleted for anybody.
 *
 * PostgreSQL is asked what is wanted: the migrations run in a schema of their own, the two are
 * compared, and all of it is rolled back.
 */
import type { Client } from 'pg';
import { HyperfeedError } from '../errors.ts';
import type { MigrationFile } from './history.ts';
import { loadQuery } from './queries.ts';

const COLUMNS = loadQuery('adoption-columns');
const KEYS = loadQuery('adoption-keys');

const THERE = 'SELECT FROM pg_class WHERE relname = ANY ($1) AND relnamespace = $2::regnamespace';

/** They make the document's tables. */
const DOCUMENT_MIGRATIONS = /^000[1-5]_/;

/**
 * The tables that the pending migrations will adopt, before they do. Throws `adoption_refused` with
 * every difference.
 */
export async function planAdoption(
  client: Client,
  files: readonly MigrationFile[],
  pending: readonly string[],
  schema: string,
): Promise<string[]> {
  const document = files.filter(({ name }) => DOCUMENT_MIGRATIONS.test(name));
  // Those of a half-migrated database are ours.
  if (!document.every(({ name }) => pending.includes(name))) return [];
  const names = document.flatMap(({ sql }) =>
    [...sql.matchAll(/^CREATE TABLE (\w+)/gm)].map(([, name]) => name),
  );
  const there = await client.query(THERE, [names, schema]);
  if (there.rowCount === 0) return [];
  await client.query('BEGIN');
  try {
    await client.query('CREATE SCHEMA hyperfeed_wanted');
    // The extension and its functions are where they are.
    await client.query(
      `SET LOCAL search_path = hyperfeed_wanted, ${client.escapeIdentifier(schema)}`,
    );
    for (const { sql } of document) await client.query(sql);
    const { rows: tables } = await client.query<TableRow>(COLUMNS, [schema]);
    const problems = tables.flatMap(({ table, isOther, differences }) =>
      isOther ? [`${table}: is no table; give it another name`] : differences,
    );
    // Keys of columns that are not there cannot be counted.
    if (problems.length === 0) problems.push(...(await countRows(client, schema)));
    if (problems.length > 0) throw refused(problems);
    return tables.map(({ table }) => table);
  } finally {
    await client.query('ROLLBACK');
  }
}

/** Rows that the keys and checks of the document's tables, as we have them, do not take. */
async function countRows(client: Client, schema: string): Promise<string[]> {
  const problems: string[] = [];
  const { rows: keys } = await client.query<KeyRow>(KEYS, [schema]);
  for (const { table, definition, key, check } of keys) {
    const from = `${client.escapeIdentifier(schema)}.${client.escapeIdentifier(table)}`;
    const condition = check === null ? null : `NOT ${check}`;
    const counted = await client.query<{ count: string }>(
      key === null
        ? `SELECT count(*) FROM ${from} WHERE ${condition}`
        : `SELECT coalesce(sum(n - 1), 0) AS count FROM (SELECT count(*) AS n FROM ${from}
             WHERE (${key.join(', ')}) IS NOT NULL GROUP BY ${key.join(', ')} HAVING count(*) > 1) AS same`,
    );
    const count = Number(counted.rows[0]?.count);
    if (count === 0) continue;
    problems.push(
      key === null
        ? `${table}: ${count} rows break ${definition}; SELECT * FROM ${table} WHERE ${condition}`
        : `${table}: ${count} rows too many for ${definition}; ${keepLast(table, key)}`,
    );
  }
  return problems;
}

/** Rows of one key lie in one chunk, since time is part of it. */
function keepLast(table: string, key: readonly string[]): string {
  const same = ['tableoid', ...key].map((column) => `a.${column} = b.${column}`).join(' AND ');
  return `DELETE FROM ${table} a USING ${table} b WHERE ${same} AND a.ctid < b.ctid`;
}

function refused(problems: readonly string[]): HyperfeedError {
  return new HyperfeedError(
    'adoption_refused',
    'this database has tables of the document that were made by somebody else, and they differ:\n- ' +
      `${problems.join('\n- ')}\n` +
      'Nothing was changed. The command after each line mends it, or shows the rows it is about; ' +
      'then migrate again',
  );
}

interface TableRow {
  table: string;
  isOther: boolean;
  differences: string[];
}

interface KeyRow {
  table: string;
  definition: string;
  key: string[] | null;
  check: string | null;
}
