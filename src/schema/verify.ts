/**
 * Compares what the writers need with what is there. A table that somebody changed by hand is found
 * at start, in words, and not by the first COPY that fails on it.
 */
import type { ClientBase } from 'pg';
import { HyperfeedError } from '../errors.ts';
import { detectEngine, type Engine } from './engine.ts';
import { type TableNeeds, WRITER_NEEDS } from './needs.ts';
import { loadQuery } from './queries.ts';
import { SERIES } from './series.ts';

/** Refuses to start on a schema that the writers cannot rely on. Ask as the role that writes. */
export async function verifySchema(client: ClientBase): Promise<void> {
  const differences = await findDifferences(client);
  if (differences.length === 0) return;
  throw new HyperfeedError(
    'schema_mismatch',
    `the schema is not what this version writes to:\n- ${differences.join('\n- ')}`,
  );
}

/** One line for each difference; none: all is well. */
export async function findDifferences(client: ClientBase): Promise<string[]> {
  const names = WRITER_NEEDS.map(({ table }) => table);
  const { rows } = await client.query<TableRow>(TABLES, [names]);
  const found = new Map(rows.map((row) => [row.table, row]));
  const differences = WRITER_NEEDS.flatMap((needs) => compare(needs, found.get(needs.table)));
  return [...differences, ...(await comparePartitions(client, await detectEngine(client)))];
}

const TABLES = loadQuery('tables');
const CHUNK_INTERVALS = loadQuery('chunk-intervals');
const PARTITION_INTERVALS = loadQuery('partition-intervals');

function compare(
  { table, columns, uniqueKey, privileges }: TableNeeds,
  found: TableRow | undefined,
): string[] {
  if (!found?.present) return [`${table}: no such table in the search_path; run the migrations`];
  const lines: string[] = [];
  for (const [column, type] of Object.entries(columns)) {
    const there = found.columns[column];
    if (!there) lines.push(`${table}.${column}: no such column, must be ${type}`);
    else if (there.type !== type)
      lines.push(`${table}.${column}: is ${there.type}, must be ${type}`);
  }
  for (const [column, { mandatory }] of Object.entries(found.columns)) {
    if (mandatory && privileges.includes('INSERT') && !(column in columns)) {
      lines.push(
        `${table}.${column}: not ours, and NOT NULL without a default: no row can be stored`,
      );
    }
  }
  const key = uniqueKey?.join(', ');
  if (key !== undefined && !found.unique_keys.includes(key))
    lines.push(`${table}: no unique key on (${key})`);
  for (const privilege of privileges) {
    if (found.privileges.includes(privilege)) continue;
    lines.push(
      `${table}: role "${found.role}" may not ${privilege}; GRANT ${privilege} ON ${table}`,
    );
  }
  return lines;
}

async function comparePartitions(client: ClientBase, { edition }: Engine): Promise<string[]> {
  const plain = edition === 'plain';
  const { rows } = await client.query<PartsRow>(plain ? PARTITION_INTERVALS : CHUNK_INTERVALS, [
    SERIES.map(({ table }) => table),
    SERIES.map(({ chunkInterval }) => chunkInterval),
  ]);
  const kind = plain ? 'not partitioned' : 'no hypertable';
  return rows.map(({ table, interval, wanted }) => {
    const is = interval === null ? `is ${kind}` : `has parts of ${interval}, must be ${wanted}`;
    return `${table}: ${is}; SELECT hyperfeed_partition_by_time('${table}', '${wanted}')`;
  });
}

interface TableRow {
  table: string;
  present: boolean;
  columns: Record<string, { type: string; mandatory: boolean }>;
  unique_keys: string[];
  privileges: string[];
  role: string;
}

interface PartsRow {
  table: string;
  interval: string | null;
  wanted: string;
}
