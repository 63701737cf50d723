/** `hyperfeed export`: a table as CSV, by COPY, straight from the server to a file or the standard output. */
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';
import { createGzip } from 'node:zlib';
import { type Client, escapeIdentifier, escapeLiteral } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { HyperfeedError, messageOf, UsageError } from '../errors.ts';
import type { Micros } from '../ingest/events.ts';
import type { Logger } from '../log.ts';
import { nearest } from '../nearest.ts';
import { withClient } from '../schema/connect.ts';
import { SERIES } from '../schema/series.ts';
import { copyTimestamp } from '../writers/copy-text.ts';
import { parseMoment } from './history/moment.ts';
import { createProgress, type Progress } from './history/progress.ts';
import { commandSession } from './database-session.ts';

export interface ExportOptions {
  readonly databaseUrl: string;
  readonly allowInsecure: boolean;
  readonly table: string;
  /** Undefined: from the first row, to the last. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** Undefined: of all. */
  readonly exchange?: string | undefined;
  readonly symbols?: readonly string[] | undefined;
  /** Undefined: the standard output. */
  readonly out?: string | undefined;
  readonly json: boolean;
  /** To the standard output. */
  readonly write: (text: string) => void;
  readonly writeAll: (text: string) => Promise<void>;
  /** To the standard error. */
  readonly warn: (text: string) => void;
  /** Of the standard error. */
  readonly isTerminal: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

const NEWLINE = 10;
/** All have a column `time`, and no secret. */
const EXPORTED: readonly string[] = [...SERIES.map(({ table }) => table), 'market_candles'];

/** Resolves to the exit code. */
export async function runExport(options: ExportOptions): Promise<number> {
  const { databaseUrl, allowInsecure, table, out, json, isTerminal, logger, signal } = options;
  const { write, writeAll, warn } = options;
  if (!EXPORTED.includes(table)) {
    throw new UsageError(
      'unknown_table',
      `${table} is none of ${EXPORTED.join(', ')}; nearest: ${nearest(table, EXPORTED).join(', ')}`,
    );
  }
  if (json && out === undefined) {
    throw new UsageError('no_file', '--json tells of a file: say which, by --out');
  }
  const range = rangeOf(options, Date.now() * 1000);
  const clientConfig = commandSession(databaseUrl, allowInsecure, 'hyperfeed export');
  // Elsewhere than on a terminal nobody waits for it.
  const progress = createProgress({
    warn: isTerminal ? warn : () => undefined,
    isTerminal,
    unit: 'rows',
  });
  progress.on(table);
  const failed = new AbortController();
  const session = { clientConfig, logger, signal: AbortSignal.any([signal, failed.signal]) };
  const fill = (target: Target) =>
    withClient(session, async (client) => {
      const sql = await copySql(client, options, range);
      try {
        return await copyOut(client, sql, target, progress);
      } catch (error) {
        // The server has more to send, and nobody takes it: only cutting the connection ends that.
        failed.abort(error);
        throw error;
      }
    });
  let rows: number;
  try {
    rows = out === undefined ? await fill(standardOutput(writeAll)) : await intoFile(out, fill);
  } catch (error) {
    if (!signal.aborted) throw error;
    warn(out === undefined ? 'interrupted\n' : `interrupted: nothing is written to ${out}\n`);
    return 1;
  } finally {
    progress.end();
  }
  if (json) write(`${JSON.stringify({ table, file: out, rows })}\n`);
  else if (out !== undefined) warn(`${rows} rows of ${table} in ${out}\n`);
  return 0;
}

interface Bounds {
  readonly from: Micros | undefined;
  readonly to: Micros | undefined;
}

function rangeOf({ from, to }: ExportOptions, now: Micros): Bounds {
  const bounds = {
    from: from === undefined ? undefined : parseMoment('--from', from, now),
    to: to === undefined ? undefined : parseMoment('--to', to, now),
  };
  if (bounds.from === undefined || bounds.to === undefined || bounds.from < bounds.to)
    return bounds;
  throw new UsageError('empty_range', `--from ${from} is not before --to ${to}`);
}

const COLUMNS = `
  SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
   WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`;

/** The order of the keys, so that the server can read along an index and two exports are alike. */
const ORDER: Readonly<Record<string, string>> = {
  time: 'source.time',
  exchange: 'source.exchange',
  symbol: 'source.symbol',
  timeframe: 'source.timeframe',
  // 9 before 10.
  trade_id: 'length(source.trade_id), source.trade_id COLLATE "C"',
};

async function copySql(
  client: Client,
  { table, exchange, symbols }: ExportOptions,
  { from, to }: Bounds,
): Promise<string> {
  const { rows } = await client.query<{ name: string; type: string }>(COLUMNS, [table]);
  const names = rows.map(({ name }) => name);
  if (names.length === 0) {
    throw new HyperfeedError(
      'no_table',
      `the database has no table ${table}; hyperfeed migrate makes it`,
    );
  }
  const only = (flag: string, column: string) => {
    if (names.includes(column)) return;
    throw new UsageError('no_column', `${flag}: ${table} has no column ${column}`);
  };
  if (exchange !== undefined) only('--exchange', 'exchange');
  if (symbols !== undefined) only('--symbols', 'symbol');
  const conditions = [
    from !== undefined && `time >= ${escapeLiteral(copyTimestamp(from))}`,
    to !== undefined && `time < ${escapeLiteral(copyTimestamp(to))}`,
    exchange !== undefined && `exchange = ${escapeLiteral(exchange)}`,
    symbols !== undefined && `symbol IN (${symbols.map((s) => escapeLiteral(s)).join(', ')})`,
  ].filter((condition) => condition !== false);
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
  const order = Object.keys(ORDER).flatMap((name) => (names.includes(name) ? [ORDER[name]] : []));
  const cells = rows.map(cellOf).join(', ');
  const select = `SELECT ${cells} FROM ${escapeIdentifier(table)} AS source ${where}`;
  return `COPY (${select} ORDER BY ${order.join(', ')}) TO STDOUT (FORMAT csv, HEADER true, ENCODING 'UTF8')`;
}

/** A time is written as everybody reads it, whatever the server's DateStyle and zone. */
function cellOf({ name, type }: { name: string; type: string }): string {
  const column = `source.${escapeIdentifier(name)}`;
  if (type !== 'timestamp with time zone') return column;
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS ${escapeIdentifier(name)}`;
}

type Target = (rows: AsyncIterable<Buffer>) => Promise<void>;

/** Resolves to the number of rows. */
async function copyOut(
  client: Client,
  sql: string,
  target: Target,
  progress: Progress,
): Promise<number> {
  const rows = client.query(copyTo(sql));
  await pipeline(rows, counted(progress), target);
  // The stream ends before the server has said that the command is complete.
  await client.query('SELECT');
  return rows.rowCount;
}

function counted(progress: Progress) {
  return async function* count(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      let lines = 0;
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) lines++;
      progress.add(lines);
      yield chunk;
    }
  };
}

function standardOutput(writeAll: (text: string) => Promise<void>): Target {
  const decoder = new StringDecoder('utf8');
  return async (rows) => {
    for await (const chunk of rows) await writeAll(decoder.write(chunk));
  };
}

/** All of it under its name, or nothing: who reads the file never sees half of it. */
async function intoFile(file: string, fill: (target: Target) => Promise<number>): Promise<number> {
  const unfinished = `${file}.${randomBytes(4).toString('hex')}.part`;
  try {
    const rows = await fill(async (source) => {
      const target = createWriteStream(unfinished, { flags: 'wx', flush: true });
      if (file.endsWith('.gz')) await pipeline(source, createGzip(), target);
      else await pipeline(source, target);
    });
    await rename(unfinished, file);
    await syncFolder(dirname(file));
    return rows;
  } catch (error) {
    await rm(unfinished, { force: true });
    if ((error as NodeJS.ErrnoException).path === undefined) throw error;
    const why = `${file} cannot be written: ${messageOf(error)}`;
    throw new HyperfeedError('file', why, { cause: error });
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
