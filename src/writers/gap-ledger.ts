/**
 * Cursors and gaps of the trades of an exchange whose ids count up by one: found, refilled and given
 * up within the transactions that store rows, so that no crash forgets a gap or closes it too early.
 *
 *   rows stored --hole behind the cursor--> open --fill stored--> filled
 *                                                --no row to be had--> unfillable
 *
 * What memory says of a gap may be ahead of the table: fills that wait in the spool count as done,
 * so that nothing is asked for twice. After a restart the table alone counts.
 */
import type { Client } from 'pg';
import { escapeLiteral } from 'pg';
import type { PartReport } from '../health.ts';
import type { OpenGap, Trade } from '../ingest/events.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { isTimestamp } from './copy-text.ts';
import { type Coverage, coverageOf, type Cursor } from './coverage.ts';
import { decodeFill, encodeFill, type GapFill } from './gap-fill.ts';
import type { Spool } from './spool.ts';
import { FRAME_FILL, FRAME_ROWS, type Frame } from './spool-format.ts';
import { encodeRow, rejectionOf, TABLES } from './tables.ts';

export interface GapLedgerOptions {
  readonly exchange: string;
  /** The exchange shows old trades by their ids. */
  readonly refillable: boolean;
  /**
   * Of which symbols, where there are several ledgers. Rows of others (left by a run that had another
   * number of lanes) are stored and not looked at: to their own ledger they are a gap, or known.
   */
  readonly owns?: ((symbol: string) => boolean) | undefined;
  readonly spool: Pick<Spool, 'append'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** What a batch changes: to run in its transaction, and to know once that is committed. */
export interface GapChanges {
  readonly sql: string;
  committed(): void;
}

interface KnownGap extends OpenGap {
  next: bigint;
  /** As `next`, in the table. */
  stored: bigint;
}

const CHANNEL = 'trades';
/** Ids of a gap that are fetched and not stored yet, at most: the spool is no place for a history. */
const MAX_AHEAD = 100_000n;
const UNFILLABLE_SHOWN_MS = 3_600_000;

export type GapLedger = ReturnType<typeof createGapLedger>;

export function createGapLedger(options: GapLedgerOptions) {
  const { exchange, refillable, spool, metrics, logger, owns } = options;
  const stream = `${escapeLiteral(exchange)}, '${CHANNEL}'`;
  let cursors = new Map<string, Cursor>();
  /** In the order in which they were found. */
  let gaps = new Map<string, KnownGap>();
  let unfillableAtMs = -Infinity;
  let shown = 0;

  /** Of a new session: what the tables say. */
  async function load(client: Client): Promise<void> {
    const ours = [exchange, CHANNEL];
    const known = await client.query<{ symbol: string; id: string; time: string }>(
      `SELECT symbol, last_id AS id,
          to_char(last_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00') AS time
         FROM ingest_cursor
        WHERE exchange = $1 AND channel = $2`,
      ours,
    );
    cursors = new Map(known.rows.map(({ symbol, id, time }) => [symbol, { id: BigInt(id), time }]));
    const open = await client.query<{ symbol: string; next: string; to: string }>(
      `SELECT symbol, next_id AS next, to_id AS "to" FROM ingest_gaps
        WHERE exchange = $1 AND channel = $2 AND status = 'open' ORDER BY id`,
      ours,
    );
    const before = gaps;
    gaps = new Map();
    for (const { symbol, next, to } of open.rows) {
      if (owns?.(symbol) === false) continue;
      const gap = before.get(keyOf(symbol, to)) ?? newGap(symbol, BigInt(next), BigInt(to));
      gap.stored = BigInt(next);
      if (gap.next < gap.stored) gap.next = gap.stored;
      gaps.set(keyOf(symbol, to), gap);
    }
    const lost = await client.query<{ at: number | null }>(
      `SELECT extract(epoch FROM max(closed_at))::float8 * 1000 AS at FROM ingest_gaps
        WHERE exchange = $1 AND channel = $2 AND status = 'unfillable'`,
      ours,
    );
    unfillableAtMs = lost.rows[0]?.at ?? -Infinity;
    observe();
  }

  function changesOf(frames: readonly Frame[]): GapChanges | undefined {
    const trades = frames.filter((frame) => frame.table === TABLES.trade.code);
    if (trades.length === 0) return undefined;
    // Refilled ids are below the cursor.
    const rows = trades.filter(({ type }) => type === FRAME_ROWS).map(({ payload }) => payload);
    const coverage = ownPart(coverageOf(rows, cursors));
    const fills = trades.filter(({ type }) => type === FRAME_FILL);
    const settled = fills.map(({ payload }) => decodeFill(payload));
    return {
      sql: coverageSql(coverage) + settled.map(settleSql).join(''),
      committed() {
        note(coverage);
        for (const fill of settled) noteFill(fill);
        observe();
      },
    };
  }

  function ownPart(coverage: Coverage): Coverage {
    if (!owns) return coverage;
    return {
      moved: new Map([...coverage.moved].filter(([symbol]) => owns(symbol))),
      holes: coverage.holes.filter(({ symbol }) => owns(symbol)),
    };
  }

  /** Lanes share the gauge. */
  function observe(): void {
    metrics.gapsOpen.inc(gaps.size - shown);
    shown = gaps.size;
  }

  function coverageSql({ moved, holes }: Coverage): string {
    let sql = '';
    if (moved.size > 0) {
      const values = [...moved].map(
        ([symbol, { id, time }]) =>
          `(${stream}, ${escapeLiteral(symbol)}, ${id}, ${timeSql(time)})`,
      );
      sql += `INSERT INTO ingest_cursor AS known (exchange, channel, symbol, last_id, last_time)
        VALUES ${values.join(', ')} ON CONFLICT (exchange, channel, symbol) DO UPDATE
        SET last_id = excluded.last_id, last_time = excluded.last_time, updated_at = now()
        WHERE known.last_id < excluded.last_id;`;
    }
    if (holes.length > 0) {
      const outcome = refillable ? `'open', NULL, NULL` : `'unfillable', 'no_history', now()`;
      const values = holes.map(
        ({ symbol, from, to, fromTime, toTime }) =>
          `(${stream}, ${escapeLiteral(symbol)}, ${from}, ${to}, ${from}, ${timeSql(fromTime)}, ${timeSql(toTime)}, ${outcome})`,
      );
      // Only a second daemon could have found the same.
      sql += `INSERT INTO ingest_gaps AS known (exchange, channel, symbol, from_id, to_id, next_id,
          from_time, to_time, status, reason, closed_at)
        VALUES ${values.join(', ')}
        ON CONFLICT (exchange, channel, symbol, to_id) WHERE status = 'open' DO UPDATE
        SET from_id = least(known.from_id, excluded.from_id), next_id = least(known.next_id, excluded.next_id);`;
    }
    return sql;
  }

  function settleSql({ symbol, gap, from, through, reason }: GapFill): string {
    const why = reason === null ? 'NULL' : escapeLiteral(reason);
    return `SELECT hyperfeed_settle_gap(${stream}, ${escapeLiteral(symbol)}, ${gap}, ${from}, ${through}, ${why});`;
  }

  function note({ moved, holes }: Coverage): void {
    for (const [symbol, cursor] of moved) cursors.set(symbol, cursor);
    for (const { symbol, from, to } of holes) {
      metrics.gapsDetected.inc({ channel: CHANNEL });
      if (refillable) gaps.set(keyOf(symbol, to), newGap(symbol, from, to));
      else noteLost(symbol, from, to, 'no_history');
    }
  }

  /** As hyperfeed_settle_gap does it. */
  function noteFill({ symbol, gap: end, from, through, reason }: GapFill): void {
    const gap = gaps.get(keyOf(symbol, end));
    if (!gap || through < gap.stored) return;
    if (from > gap.stored) {
      // What was before it in the spool could not be read: again from there.
      gap.next = gap.stored;
      return;
    }
    // Each id is a row.
    if (reason === null) metrics.gapRowsBackfilled.inc(Number(through + 1n - gap.stored));
    else noteLost(symbol, gap.stored, through, reason);
    gap.stored = through + 1n;
    if (gap.next < gap.stored) gap.next = gap.stored;
    if (gap.stored > gap.to) gaps.delete(keyOf(symbol, end));
  }

  function noteLost(symbol: string, from: bigint, to: bigint, reason: string): void {
    unfillableAtMs = Date.now();
    metrics.gapUnfillable.inc({ reason }, Number(to - from + 1n));
    logger.error({ symbol, from: String(from), to: String(to), reason }, 'trades cannot be had');
  }

  /** Hands rows to the spool together with what they settle; false: not now. */
  function append(gap: KnownGap, through: bigint, trades: readonly Trade[], reason: string | null) {
    const { symbol, next: from, to } = gap;
    const text = trades.map(encodeRow).join('');
    const payload = encodeFill({ symbol, gap: to, from, through, reason }, text);
    const receivedAt = trades[0]?.receivedAt ?? Date.now() * 1000;
    if (!spool.append(TABLES.trade.code, payload, trades.length, receivedAt, FRAME_FILL)) {
      return false;
    }
    metrics.rowsReceived.inc({ table: TABLES.trade.name }, trades.length);
    gap.next = through + 1n;
    return true;
  }

  function lose(gap: OpenGap, through: bigint, reason: string): boolean {
    const known = gaps.get(keyOf(gap.symbol, gap.to));
    return known !== undefined && append(known, through, [], reason);
  }

  function refill(gap: OpenGap, trades: readonly Trade[]): boolean {
    const known = gaps.get(keyOf(gap.symbol, gap.to));
    if (!known) return false;
    const refused = trades.findIndex((trade) => rejectionOf(trade) !== undefined);
    if (refused === 0) {
      metrics.rowsRejected.inc({ reason: rejectionOf(trades[0] as Trade) ?? 'number' });
      return append(known, known.next, [], 'rejected');
    }
    const good = refused === -1 ? trades : trades.slice(0, refused);
    return append(known, known.next + BigInt(good.length) - 1n, good, null);
  }

  function report(): PartReport {
    const lost = Date.now() - unfillableAtMs < UNFILLABLE_SHOWN_MS;
    const detail = 'trades of the last hour cannot be had; see ingest_gaps';
    return {
      ready: true,
      reasons: lost ? [{ code: 'gap_unfillable', severity: 'degraded', detail }] : [],
      status: { open: gaps.size, missing: [...gaps.values()].reduce(addMissing, 0) },
    };
  }

  return {
    load,
    changesOf,
    report,
    /** Last id of a symbol that is accounted for; undefined: none, or not known yet. */
    cursor: (symbol: string): bigint | undefined => cursors.get(symbol)?.id,
    /** Gaps to be refilled from `next` on, the oldest first. */
    open: (): OpenGap[] =>
      [...gaps.values()].filter(({ next, to, stored }) => next <= to && next - stored <= MAX_AHEAD),
    /** Trades of a gap without a hole, from its `next` on. False: not accepted now. */
    refill,
    /** From its `next` up to `through` there is nothing to be had. False: not accepted now. */
    lose,
  };
}

function newGap(symbol: string, next: bigint, to: bigint): KnownGap {
  return { symbol, next, to, stored: next };
}

/** A row may have been refused for its very time. */
function timeSql(time: string): string {
  return isTimestamp(time) ? `'${time}'` : 'now()';
}

function keyOf(symbol: string, to: bigint | string): string {
  return `${symbol} ${to}`;
}

function addMissing(sum: number, { stored, to }: KnownGap): number {
  return sum + Number(to - stored + 1n);
}
