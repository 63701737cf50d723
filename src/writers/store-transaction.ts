/** The SQL of a batch. Exactly once: rows and watermark commit together or not at all. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Metrics } from '../metrics.ts';
import type { GapLedger } from './gap-ledger.ts';
import type { Batch, SpooledFrame } from './spool.ts';
import { rowsIn } from './spool-format.ts';
import { ALL_TABLES, type Table, tableOf, TABLES } from './tables.ts';

/** Batches that go by way of staging after one that met duplicates: they come in runs. */
const STAGED_RUN = 20;

interface Stored {
  readonly table: Table;
  readonly rows: number;
  readonly duplicates: number;
}

export interface TransactionOptions {
  readonly exchange: string;
  /** Undefined where ids do not tell what is missing. */
  readonly gaps?: Pick<GapLedger, 'load' | 'changesOf'> | undefined;
  readonly metrics: Metrics;
}

export function createTransaction({ exchange, gaps, metrics }: TransactionOptions) {
  /** Last stored seq by epoch, as the server knows it. */
  let watermarks = new Map<string, number>();
  let stagedLeft = 0;

  /** A new session: staging tables, and how far each epoch is stored. */
  async function begin(client: Client): Promise<void> {
    for (const table of ALL_TABLES) {
      await client.query(
        `CREATE TEMP TABLE ${stageOf(table)} (LIKE ${table.name} INCLUDING DEFAULTS,
          position bigint GENERATED ALWAYS AS IDENTITY) ON COMMIT DELETE ROWS`,
      );
    }
    const { rows } = await client.query<{ epoch: string; seq: string }>(
      'SELECT epoch, seq FROM ingest_watermark WHERE exchange = $1',
      [exchange],
    );
    watermarks = new Map(rows.map(({ epoch, seq }) => [epoch, Number(seq)]));
    await gaps?.load(client);
  }

  async function store(client: Client, batch: Batch): Promise<void> {
    const known = watermarks.get(batch.epoch) ?? 0;
    const frames = batch.frames.filter((frame) => frame.seq > known);
    metrics.watermarkSkipped.inc(batch.frames.length - frames.length);
    const last = frames.at(-1);
    if (!last) return;
    const startedAt = performance.now();
    const staged = stagedLeft > 0;
    const changes = gaps?.changesOf(frames);

    await client.query('BEGIN');
    const stored: Stored[] = [];
    for (const [code, some] of Map.groupBy(frames, (frame) => frame.table)) {
      const table = tableOf(code);
      const merged = table === TABLES.candle || staged;
      const insert = merged ? merge : append;
      stored.push(await insert(client, table, some));
      if (table === TABLES.candle) await client.query(ROLL_UP);
    }
    // One round trip: nothing can happen between the watermark and the commit. Cursors and gaps are of
    // these very rows.
    await client.query(
      `${changes?.sql ?? ''}
       INSERT INTO ingest_watermark (exchange, epoch, seq)
         VALUES ('${exchange.replaceAll("'", "''")}', '${batch.epoch}', ${last.seq})
         ON CONFLICT (exchange, epoch) DO UPDATE SET seq = excluded.seq, updated_at = now();
       COMMIT`,
    );
    watermarks.set(batch.epoch, last.seq);
    changes?.committed();

    if (staged) stagedLeft = stored.some((s) => s.duplicates > 0) ? STAGED_RUN : stagedLeft - 1;
    observe(stored, frames, staged, (performance.now() - startedAt) / 1000);
  }

  function observe(
    stored: Stored[],
    frames: SpooledFrame[],
    staged: boolean,
    seconds: number,
  ): void {
    for (const { table, rows, duplicates } of stored) {
      metrics.rowsStored.inc({ table: table.name }, rows - duplicates);
      if (duplicates > 0) metrics.rowsDuplicate.inc({ table: table.name }, duplicates);
    }
    metrics.copyBatches.inc({ path: staged ? 'staged' : 'direct' });
    metrics.copyDuration.observe(seconds);
    const [oldest] = frames;
    if (oldest?.receivedAt !== undefined) {
      metrics.commitLatency.observe(Math.max(0, Date.now() * 1000 - oldest.receivedAt) / 1e6);
    }
  }

  return {
    begin,
    store,
    adoptSymbols,
    addPartitions,
    /** Some row of the batch is stored already: this batch and some more go by way of staging. */
    stageNext(): void {
      stagedLeft = STAGED_RUN;
    },
  };
}

/** Straight into the table. Throws 23505 if any row is there already. */
async function append(client: Client, table: Table, frames: SpooledFrame[]): Promise<Stored> {
  await copy(client, table.name, table.columns, frames);
  return { table, rows: rowsOf(frames), duplicates: 0 };
}

/** By way of a staging table: rows that are there already are counted; candles are corrected. */
async function merge(client: Client, table: Table, frames: SpooledFrame[]): Promise<Stored> {
  await copy(client, stageOf(table), table.columns, frames);
  const { rowCount } = await client.query(mergeSql(table));
  const rows = rowsOf(frames);
  return { table, rows, duplicates: rows - (rowCount ?? 0) };
}

/**
 * Makes the rows' symbols known, by their names alone: for rows that were spooled while no server
 * could be told of them. A transaction of its own, in order (see symbols.ts).
 */
async function adoptSymbols(client: Client, batch: Batch): Promise<void> {
  const frames = batch.frames.filter((frame) => frame.table === TABLES.trade.code);
  await client.query('BEGIN');
  await copy(client, stageOf(TABLES.trade), TABLES.trade.columns, frames);
  await client.query(
    `INSERT INTO symbols (symbol, exchange, base_currency, quote_currency)
     SELECT DISTINCT symbol, exchange, split_part(symbol, '/', 1),
       split_part(split_part(symbol, '/', 2), ':', 1)
     FROM ${stageOf(TABLES.trade)} ORDER BY symbol, exchange ON CONFLICT DO NOTHING`,
  );
  await client.query('COMMIT');
}

/** For late rows: those of the coming week are made ahead. A transaction of its own, as it locks. */
async function addPartitions(client: Client, batch: Batch): Promise<void> {
  await client.query('BEGIN');
  for (const [code, frames] of Map.groupBy(batch.frames, (frame) => frame.table)) {
    const table = tableOf(code);
    await copy(client, stageOf(table), table.columns, frames);
    await client.query(
      `SELECT hyperfeed_add_partitions(name::text, days)
         FROM hyperfeed_series, (SELECT array_agg(DISTINCT date_trunc('day', time, 'UTC')) FROM ${stageOf(table)}) AS batch (days)
        WHERE name = '${table.name}' OR starts_with(name::text, '${table.name}_')`, // and its roll-ups
    );
  }
  await client.query('COMMIT');
}

/** One large chunk: row by row costs Node five times as much. */
async function copy(
  client: Client,
  target: string,
  columns: readonly string[],
  frames: readonly SpooledFrame[],
): Promise<void> {
  const stream = client.query(copyFrom(`COPY ${target} (${columns.join(', ')}) FROM STDIN`));
  await pipeline(Readable.from([Buffer.concat(frames.map(rowsIn))]), stream);
}

/** The longer candles of which the batch holds a part: right as soon as the minutes are. */
const ROLL_UP = `SELECT hyperfeed_roll_up(array_agg(time), array_agg(exchange::text), array_agg(symbol::text))
  FROM ${stageOf(TABLES.candle)}`;

function stageOf(table: Table): string {
  return `stage_${table.name}`;
}

function rowsOf(frames: readonly SpooledFrame[]): number {
  return frames.reduce((sum, frame) => sum + frame.rows, 0);
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
