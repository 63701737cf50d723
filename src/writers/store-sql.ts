/** The statements that store rows: by COPY, straight into their table or by way of a staging table. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { touchedBuckets, type TouchedBuckets } from './candle-buckets.ts';
import { isTimestamp } from './copy-text.ts';
import type { SymbolKey } from './foreign-key.ts';
import { ALL_TABLES, type Table, TABLES } from './tables.ts';

/** Lines of COPY text, each with its newline. */
export interface Rows {
  readonly table: Table;
  readonly text: Buffer;
  readonly count: number;
}

export interface Stored {
  readonly table: Table;
  readonly rows: number;
  /** Of them, those that the table holds already. */
  readonly duplicates: number;
}

/** Tables of the session, emptied by each commit. */
export async function createStaging(client: Client): Promise<void> {
  for (const table of ALL_TABLES) {
    if (table.keyless) continue;
    await client.query(
      `CREATE TEMP TABLE ${stageOf(table)} (LIKE ${table.name} INCLUDING DEFAULTS,
        position bigint GENERATED ALWAYS AS IDENTITY) ON COMMIT DELETE ROWS`,
    );
  }
}

/**
 * Fewer candles are live ones, among which a correction is nothing special: it shall not send the
 * trades of its batch by way of staging.
 */
const MANY_CANDLES = 500;

/**
 * Within a transaction. Throws 23505 if any row is there already, or twice among these, unless
 * `staged`: then a candle replaces the one that is there. Candles bring the longer ones up to date.
 */
export async function insertRows(client: Client, rows: Rows, staged: boolean): Promise<Stored> {
  const { table, count, text } = rows;
  const merged = !table.keyless && (staged || (table === TABLES.candle && count < MANY_CANDLES));
  await copy(client, merged ? stageOf(table) : table.name, rows);
  const rowCount = merged ? (await client.query(mergeSql(table))).rowCount : count;
  if (table === TABLES.candle) await rollUp(client, touchedBuckets(text));
  return { table, rows: count, duplicates: count - (rowCount ?? 0) };
}

/**
 * Makes symbols known, by their names alone: for rows that were spooled while no server could be told
 * of them. A transaction of its own, in order (see symbols.ts).
 */
export async function adoptSymbols(client: Client, symbols: readonly SymbolKey[]): Promise<void> {
  await client.query(
    `INSERT INTO symbols (symbol, exchange, base_currency, quote_currency)
     SELECT symbol, exchange, split_part(symbol, '/', 1),
       split_part(split_part(symbol, '/', 2), ':', 1)
     FROM unnest($1::text[], $2::text[]) AS rows (symbol, exchange)
     ORDER BY symbol, exchange ON CONFLICT DO NOTHING`,
    [symbols.map(({ symbol }) => symbol), symbols.map(({ exchange }) => exchange)],
  );
}

/**
 * For late rows: those of the coming week are made ahead. A transaction of its own, as it locks. The
 * days are read off the rows, of which some may be refused.
 */
export async function addPartitions(client: Client, all: readonly Rows[]): Promise<void> {
  await client.query('BEGIN');
  for (const { table, text } of all) {
    if (table.keyless) continue;
    await client.query(
      `SELECT hyperfeed_add_partitions(name::text, $2::timestamptz[]) FROM hyperfeed_series
        WHERE name = $1 OR starts_with(name::text, $1 || '_')`, // and its roll-ups
      [table.name, daysIn(text)],
    );
  }
  await client.query('COMMIT');
}

/** Each once, in UTC, as rows have it. */
function daysIn(text: Buffer): string[] {
  const days = new Set<string>();
  for (const [time] of text.toString().matchAll(/^[^\t\n]*/gm)) {
    if (isTimestamp(time)) days.add(`${time.slice(0, 10)} 00:00:00+00`);
  }
  return [...days];
}

/** One large chunk: row by row costs Node five times as much. */
async function copy(client: Client, target: string, { table, text }: Rows): Promise<void> {
  const columns = table.columns.join(', ');
  const stream = client.query(copyFrom(`COPY ${target} (${columns}) FROM STDIN`));
  await pipeline(Readable.from([text]), stream);
}

/** The longer candles of which the rows hold a part: right as soon as the minutes are. */
async function rollUp(
  client: Client,
  { times, exchanges, symbols }: TouchedBuckets,
): Promise<void> {
  await client.query('SELECT hyperfeed_roll_up($1, $2, $3)', [times, exchanges, symbols]);
}

function stageOf(table: Table): string {
  return `stage_${table.name}`;
}

function mergeSql(table: Table): string {
  const columns = table.columns.join(', ');
  if (table !== TABLES.candle) {
    return `INSERT INTO ${table.name} (${columns}) SELECT ${columns} FROM ${stageOf(table)}
      ORDER BY position ON CONFLICT DO NOTHING`;
  }
  const key = ['time', 'exchange', 'symbol'];
  const values = table.columns.filter((column) => !key.includes(column));
  // Of two versions of a candle in one batch the later counts, else PostgreSQL raises 21000.
  return `INSERT INTO ${table.name} AS known (${columns})
    SELECT DISTINCT ON (${key.join(', ')}) ${columns} FROM ${stageOf(table)}
    ORDER BY ${key.join(', ')}, position DESC
    ON CONFLICT (${key.join(', ')}) DO UPDATE SET
      ${values.map((column) => `${column} = excluded.${column}`).join(', ')}
    WHERE (${values.map((column) => `known.${column}`).join(', ')})
      IS DISTINCT FROM (${values.map((column) => `excluded.${column}`).join(', ')})`;
}
