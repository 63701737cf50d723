/** The transaction of a batch. Exactly once: rows and watermark commit together or not at all. */
import { type Client, escapeLiteral } from 'pg';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import {
  beginChecked,
  END_CHECKED,
  type ForeignKeyCheck,
  foreignKeyCheck,
  symbolsIn,
} from './foreign-key.ts';
import type { GapLedger } from './gap-ledger.ts';
import { createBreaker, quarantineSql, type SpooledRow } from './quarantine.ts';
import { adoptAll, refusalOf } from './refusal.ts';
import { findRefused, type Refused } from './refused-rows.ts';
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
    const last = frames.at(-1);
    if (!last) {
      noteKnown(batch, frames);
      return;
    }
    const startedAt = performance.now();
    const staged = stagedLeft > 0;
    const changes = gaps?.changesOf(frames);
    const aside = frames.flatMap((frame) => refused.get(frame) ?? []);
    const tables = rowsOf(frames);

    const stored: sql.Stored[] = [];
    const keysChecked = await begun(client, tables);
    const insert = async (rows: sql.Rows) => {
      const inserted = await sql.insertRows(client, rows, staged);
      // Triggers on the other tables run as ever.
      if (keysChecked && rows === tables[0] && tables.length > 1) await client.query(END_CHECKED);
      return inserted;
    };
    for (const rows of tables) stored.push(await insert(rows));
    // One round trip: nothing can happen between the watermark and the commit. Cursors and gaps are of
    // these very rows.
    await client.query(
      `${keysChecked ? END_CHECKED : ''}
       ${changes?.sql ?? ''}
       ${quarantineSql(exchange, aside)}
       INSERT INTO ingest_watermark (exchange, epoch, seq)
         VALUES (${escapeLiteral(exchange)}, ${escapeLiteral(batch.epoch)}, ${last.seq})
         ON CONFLICT (exchange, epoch) DO UPDATE SET seq = excluded.seq, updated_at = now();
       COMMIT`,
    );
    watermarks.set(batch.epoch, last.seq);
    changes?.committed();
    noteKnown(batch, frames);
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

  /** True: trades first, and then END_CHECKED. */
  async function begun(client: Client, [first]: readonly sql.Rows[]): Promise<boolean> {
    if (first?.table === TABLES.trade && keyCheck === 'batch')
      return beginChecked(client, symbolsIn([first.text]));
    await client.query('BEGIN');
    return false;
  }

  /** Lines of COPY text by table, trades first, without those that are set aside. */
  function rowsOf(frames: readonly SpooledFrame[]): sql.Rows[] {
    const tables: sql.Rows[] = [];
    for (const [code, some] of Map.groupBy(frames, (frame) => frame.table)) {
      const text = Buffer.concat(some.map(textOf));
      const count = some.reduce((sum, f) => sum + f.rows - (refused.get(f)?.length ?? 0), 0);
      if (count > 0) tables.push({ table: tableOf(code), text, count });
    }
    return tables.toSorted((a, b) => a.table.code - b.table.code);
  }

  function textOf(frame: SpooledFrame): Buffer {
    const aside = refused.get(frame);
    if (!aside) return rowsIn(frame);
    const out = new Set(aside.map(({ row }) => row.position));
    const lines = linesOf(rowsIn(frame)).filter((_, position) => !out.has(position));
    return Buffer.concat(lines.flatMap((line) => [line, NEWLINE]));
  }

  /**
   * Finds the rows that the server refuses; the next attempt goes without them. Throws `quarantine_full` where it is not the rows. `guarded` runs each statement with a deadline.
   */
  async function isolate(
    client: Client,
    batch: Batch,
    guarded: <T>(work: () => Promise<T>) => Promise<T>,
  ): Promise<void> {
    const found: Refused<SpooledRow>[] = [];
    const frames = unstored(batch);
    for (const frame of frames) refused.delete(frame);
    for (const [code, some] of Map.groupBy(frames, (frame) => frame.table)) {
      const rows = some.flatMap(({ seq, ...frame }) =>
        linesOf(rowsIn(frame)).map((line, position) => {
          return { epoch: batch.epoch, seq, table: code, position, line };
        }),
      );
      const attempt = (part: readonly SpooledRow[]) => refusalOf(client, part, guarded);
      await findRefused(rows, attempt, (one) => {
        found.push(one);
        breaker.check(batch.rows, found);
      });
    }
    const bySeq = Map.groupBy(found, ({ row }) => row.seq);
    for (const frame of frames) {
      const aside = bySeq.get(frame.seq);
      if (aside) refused.set(frame, aside);
    }
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
    async adoptSymbols(client: Client, { frames }: Batch): Promise<void> {
      const trades = frames.filter(({ table }) => table === TABLES.trade.code);
      await adoptAll(client, symbolsIn(trades.map(rowsIn)));
    },
    /** Some row of the batch is stored already: this batch and some more go by way of staging. */
    stageNext(): void {
      stagedLeft = STAGED_RUN;
    },
  };
}

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
