/** Rows and bytes of a spool: what waits, what is stored and only kept for a while, what was lost. */
import type { Metrics } from '../metrics.ts';
import type { Batch, SpooledFrame } from './spool.ts';
import type { Segment } from './spool-files.ts';
import { type Frame, FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES } from './spool-format.ts';

export interface AccountsOptions {
  /** Of this run: rows of others are known only once they are read. */
  readonly epoch: string;
  readonly segments: readonly Segment[];
  readonly isDone: (segment: Segment) => boolean;
  /** Read to its end and stored, though more may be appended. */
  readonly isIdle: (segment: Segment) => boolean;
  readonly metrics: Metrics;
}

export function createAccounts({ epoch, segments, isDone, isIdle, metrics }: AccountsOptions) {
  /** Accepted by this run and not handed out yet. */
  let unreadRows = 0;
  /** What the gauges hold of ours: a daemon with lanes has several spools. */
  let shown = { segments: 0, unstored: 0, retained: 0 };

  function bytes() {
    let unstored = 0;
    let total = 0;
    for (const segment of segments) {
      total += segment.readable;
      if (isIdle(segment)) continue;
      unstored += Math.max(0, segment.readable - SEGMENT_HEADER_BYTES - segment.storedBytes);
    }
    return { unstored, retained: total - unstored };
  }

  function waitsAgain(rows: number): void {
    metrics.spoolRowsPending.inc(rows);
    metrics.rowsReread.inc(rows);
  }

  return {
    unreadRows: () => unreadRows,
    bytes,
    observe(): void {
      const now = { segments: segments.length, ...bytes() };
      metrics.spoolSegments.inc(now.segments - shown.segments);
      metrics.spoolBytes.inc(now.unstored - shown.unstored);
      metrics.spoolRetainedBytes.inc(now.retained - shown.retained);
      shown = now;
    },
    accepted(segment: Segment, rows: number): void {
      unreadRows += rows;
      segment.rows += rows;
      segment.unreadRows += rows;
    },
    handedOut(frames: readonly SpooledFrame[]): void {
      for (const { segment, rows } of frames) {
        if (segment.epoch !== epoch) {
          metrics.spoolRowsPending.inc(rows);
          metrics.rowsReread.inc(rows);
          continue;
        }
        segment.unreadRows -= rows;
        unreadRows -= rows;
      }
    },
    stored(batch: Batch): void {
      for (const frame of batch.frames) {
        frame.segment.outstanding--;
        frame.segment.storedBytes += sizeOf(frame);
      }
      metrics.spoolRowsPending.dec(batch.rows);
    },
    /** Everything is to be read again; `taken` is what was out. */
    rewound(taken: Iterable<Batch>): void {
      for (const { rows } of taken) waitsAgain(-rows);
      unreadRows = 0;
      for (const segment of segments) {
        waitsAgain(segment.rows - segment.unreadRows);
        unreadRows += segment.rows;
        segment.unreadRows = segment.rows;
        segment.outstanding = 0;
        segment.storedBytes = 0;
      }
    },
    /** What this run wrote and could not read back: the reader counted the damage, this the rows. */
    countLost(): void {
      for (const segment of segments) {
        const { unreadRows: lost } = segment;
        if (lost === 0 || !isDone(segment)) continue;
        metrics.rowsDropped.inc({ reason: 'spool_corrupt' }, lost);
        metrics.spoolRowsPending.dec(lost);
        unreadRows -= lost;
        segment.rows -= lost;
        segment.unreadRows = 0;
      }
    },
  };
}

/** On disk. */
export function sizeOf({ payload }: Pick<Frame, 'payload'>): number {
  return FRAME_HEADER_BYTES + payload.length;
}
