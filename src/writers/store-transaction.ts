/** The transaction of a batch. Exactly once: rows and watermark commit together or not at all. */
import type { Client } from 'pg';
import type { Config } from '../config.ts';
import { codeOf, messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { beginChecked, type ForeignKeyCheck, foreignKeyCheck, symbolsIn } from './foreign-key.ts';
import type { GapLedger } from './gap-ledger.ts';
import { actionOf } from './pg-errors.ts';
import { createBreaker, quarantineSql, type SpooledRow } from './quarantine.ts';
import { findRefused, type Refusal, type Refused } from './refused-rows.ts';
import type { Batch, SpooledFrame } from './spool.ts';
import { rowsIn } from './spool-format.ts';
import * as sql from './store-sql.ts';
import { tableOf, TABLES } from './tables.ts';
import { endWhenFrozen } from './turn.ts';

/** Batches that go by way of staging after one that met duplicates: they come in runs. */
const STAGED_RUN = 20;

export interface TransactionOptions {
  readonly exchange: string;
  /** Undefined where ids do not tell what is missing. */
  readonly gaps?: Pick<GapLedger, 'load' | 'changesOf'> | undefined;
  readonly quarantine: Config['database']['quarantine'];
  readonly metrics: Metrics;
  readonly logger: Logger;
}

type Path = 'direct' | 'staged' | 'isolated';

export function createTransaction(options: TransactionOptions) {
  const { exchange, gaps, metrics, logger } = options;
  const breaker = createBreaker(options.quarantine);
  /** Last stored seq by epoch, as the server knows it. */
  let watermarks = new Map<string, number>();
  let stagedLeft = 0;
  let keyCheck: ForeignKeyCheck = 'row';
  /** What the server does not take of a frame. */
  const refused = new WeakMap<SpooledFrame, Refused<SpooledRow>[]>();

  /**
   * A new session: staging tables, and how far each epoch is stored. True when the server has less than
   * it had: a standby that was promoted, a backup.
   */
  async function begin(client: Client): Promise<boolean> {
    await sql.createStaging(client);
    await endWhenFrozen(client);
    keyCheck = await foreignKeyCheck(client);
    const { rows } = await client.query<{ epoch: string; seq: string }>(
      'SELECT epoch, seq FROM ingest_watermark WHERE exchange = $1',
      [exchange],
    );
    await gaps?.load(client);
    const before = watermarks;
    watermarks = new Map(rows.map(({ epoch, seq }) => [epoch, Number(seq)]));
    return [...before].some(([epoch, seq]) => (watermarks.get(epoch) ?? 0) < seq);
  }

  /** The frames of it that are not stored yet. */
  function unstored({ epoch, frames }: Batch): SpooledFrame[] {
    const known = watermarks.get(epoch) ?? 0;
    return frames.filter((frame) => frame.seq > known);
  }

  async function store(client: Client, batch: Batch): Promise<void> {
    const frames = unstored(batch);
    noteKnown(batch, frames);
    const last = frames.at(-1);
    if (!last) return;
    const startedAt = performance.now();
    const staged = stagedLeft > 0;
    const changes = gaps?.changesOf(frames);
    const aside = frames.flatMap((frame) => refused.get(frame) ?? []);
    const tables = rowsOf(frames);

    await begun(client, tables);
    const stored: sql.Stored[] = [];
    for (const rows of tables) stored.push(await sql.insertRows(client, rows, staged));
    // One round trip: nothing can happen between the watermark and the commit. Cursors and gaps are of
    // these very rows.
    await client.query(
      `${changes?.sql ?? ''}
       ${quarantineSql(exchange, aside)}
       INSERT INTO ingest_watermark (exchange, epoch, seq)
         VALUES ('${exchange.replaceAll("'", "''")}', '${batch.epoch}', ${last.seq})
         ON CONFLICT (exchange, epoch) DO UPDATE SET seq = excluded.seq, updated_at = now();
       COMMIT`,
    );
    watermarks.set(batch.epoch, last.seq);
    changes?.committed();
    setAside(batch.rows, aside);

    if (staged) stagedLeft = stored.some((s) => s.duplicates > 0) ? STAGED_RUN : stagedLeft - 1;
    const path = aside.length > 0 ? 'isolated' : staged ? 'staged' : 'direct';
    observe(stored, frames, path, (performance.now() - startedAt) / 1000);
  }

  /** Stored earlier; how that ended was not known. */
  function noteKnown(batch: Batch, left: readonly SpooledFrame[]): void {
    if (left.length === batch.frames.length) return;
    metrics.watermarkSkipped.inc(batch.frames.length - left.length);
    metrics.rowsKnown.inc(batch.rows - left.reduce((sum, { rows }) => sum + rows, 0));
  }

  async function begun(client: Client, tables: readonly sql.Rows[]): Promise<void> {
    const trades = tables.find(({ table }) => table === TABLES.trade);
    if (trades && keyCheck === 'batch') await beginChecked(client, symbolsIn([trades.text]));
    else await client.query('BEGIN');
  }

  /** Lines of COPY text by table, without those that are set aside. */
  function rowsOf(frames: readonly SpooledFrame[]): sql.Rows[] {
    const tables: sql.Rows[] = [];
    for (const [code, some] of Map.groupBy(frames, (frame) => frame.table)) {
      const text = Buffer.concat(some.map(textOf));
      const count = some.reduce((sum, f) => sum + f.rows - (refused.get(f)?.length ?? 0), 0);
      if (count > 0) tables.push({ table: tableOf(code), text, count });
    }
    return tables;
  }

  function textOf(frame: SpooledFrame): Buffer {
    const aside = refused.get(frame);
    if (!aside) return rowsIn(frame);
    const out = new Set(aside.map(({ row }) => row.position));
    const lines = linesOf(rowsIn(frame)).filter((_, position) => !out.has(position));
    return Buffer.concat(lines.flatMap((line) => [line, NEWLINE]));
  }

  /**
   * Finds the rows that the server refuses; the next attempt goes without them. Returns how many.
   * Throws `quarantine_full` where it is not the rows. `guarded` runs each statement with a deadline.
   */
  async function isolate(
    client: Client,
    batch: Batch,
    guarded: <T>(work: () => Promise<T>) => Promise<T>,
  ): Promise<number> {
    const found: Refused<SpooledRow>[] = [];
    const frames = unstored(batch);
    for (const frame of frames) refused.delete(frame);
    for (const [code, some] of Map.groupBy(frames, (frame) => frame.table)) {
      const rows = some.flatMap(({ seq, ...frame }) =>
        linesOf(rowsIn(frame)).map((line, position) => {
          return { epoch: batch.epoch, seq, table: code, position, line };
        }),
      );
      const attempt = (part: readonly SpooledRow[]) => guarded(() => refusalOf(client, part));
      found.push(...(await findRefused(rows, attempt, breaker.limit - found.length)));
    }
    breaker.check(batch.rows, found);
    const bySeq = Map.groupBy(found, ({ row }) => row.seq);
    for (const frame of frames) {
      const aside = bySeq.get(frame.seq);
      if (aside) refused.set(frame, aside);
    }
    return found.length;
  }

  function setAside(rows: number, aside: readonly Refused<SpooledRow>[]): void {
    breaker.note(rows, aside);
    for (const { row, refusal } of aside) {
      metrics.rowsQuarantined.inc({ sqlstate: refusal.sqlstate });
      const table = tableOf(row.table).name;
      logger.error({ table, refusal }, 'row refused by the database, kept in ingest_quarantine');
    }
  }

  function observe(
    stored: readonly sql.Stored[],
    frames: readonly SpooledFrame[],
    path: Path,
    seconds: number,
  ): void {
    for (const { table, rows, duplicates } of stored) {
      metrics.rowsStored.inc({ table: table.name }, rows - duplicates);
      if (duplicates > 0) metrics.rowsDuplicate.inc({ table: table.name }, duplicates);
    }
    metrics.copyBatches.inc({ path });
    metrics.copyDuration.observe(seconds);
    const [oldest] = frames;
    if (oldest?.receivedAt !== undefined) {
      metrics.commitLatency.observe(Math.max(0, Date.now() * 1000 - oldest.receivedAt) / 1e6);
    }
  }

  return {
    begin,
    /** What another daemon stored meanwhile. */
    reload: async (client: Client) => gaps?.load(client),
    store,
    isolate,
    /** Of this session: at once for a batch, or row by row. */
    foreignKeyCheck: () => keyCheck,
    addPartitions: (client: Client, batch: Batch) =>
      sql.addPartitions(client, rowsOf(unstored(batch))),
    adoptSymbols: (client: Client, batch: Batch) => adoptSymbols(client, batch.frames),
    /** Some row of the batch is stored already: this batch and some more go by way of staging. */
    stageNext(): void {
      stagedLeft = STAGED_RUN;
    },
  };
}

/** Those that `symbols` cannot hold are left out: their rows are refused then, and no others. */
async function adoptSymbols(client: Client, frames: readonly SpooledFrame[]): Promise<void> {
  const trades = frames.filter(({ table }) => table === TABLES.trade.code);
  const symbols = symbolsIn(trades.map(rowsIn));
  try {
    await sql.adoptSymbols(client, symbols);
  } catch (error) {
    if (actionOf(error) !== 'isolate') throw error;
    for (const symbol of symbols) {
      await sql.adoptSymbols(client, [symbol]).catch((reason: unknown) => {
        if (actionOf(reason) !== 'isolate') throw reason;
      });
    }
  }
}

/** What the server says of rows, in a transaction that is not kept. Throws what is not their fault. */
async function refusalOf(
  client: Client,
  rows: readonly SpooledRow[],
  staged = false,
): Promise<Refusal | undefined> {
  const table = tableOf(rows[0]!.table);
  const text = Buffer.concat(rows.flatMap(({ line }) => [line, NEWLINE]));
  try {
    await client.query('BEGIN');
    await sql.insertRows(client, { table, text, count: rows.length }, staged);
    await client.query('ROLLBACK');
    return undefined;
  } catch (error) {
    const action = actionOf(error);
    if (!REFUSED.has(action)) throw error;
    await client.query('ROLLBACK');
    if (action === 'stage') return refusalOf(client, rows, true);
    const { where = '' } = error as { where?: string };
    const line = /^COPY \w+, line (\d+)/.exec(where)?.[1];
    return {
      sqlstate: codeOf(error) ?? '',
      message: messageOf(error),
      line: line === undefined ? undefined : Number(line),
    };
  }
}

/** A symbol that is unknown still could not be made known. */
const REFUSED: ReadonlySet<string> = new Set(['isolate', 'symbols', 'stage']);
const NEWLINE = Buffer.from('\n');

/** Without their newlines. */
function linesOf(text: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let at = 0;
  for (let end = text.indexOf(10); end !== -1; end = text.indexOf(10, at)) {
    lines.push(text.subarray(at, end));
    at = end + 1;
  }
  return lines;
}
