/**
 * A spool without a disk: rows on their way to the store, of a source that can be asked again. What a
 * crash takes with it was not stored, and is asked for again because it is not.
 */
import { randomBytes } from 'node:crypto';
import type { MarketEvent } from '../ingest/events.ts';
import type { Metrics } from '../metrics.ts';
import type { Spool, SpooledFrame } from './spool.ts';
import { FRAME_ROWS } from './spool-format.ts';
import { encodeRow, rejectionOf, TABLES } from './tables.ts';

export type Passage = Pick<Spool, 'read' | 'release' | 'rewind' | 'end'> & {
  push(events: readonly MarketEvent[]): void;
  /** Nothing waits, and nothing is being stored. */
  isEmpty(): boolean;
};

export function createPassage(metrics: Metrics): Passage {
  // Of its own, so that its watermark is nobody else's.
  const epoch = randomBytes(8).toString('hex');
  let seq = 0;
  let waiting: SpooledFrame[] = [];
  /** Of the batch that was read and is not released. */
  let taken: SpooledFrame[] = [];
  let ended = false;
  let wake = Promise.withResolvers<void>();

  function notify(): void {
    wake.resolve();
    wake = Promise.withResolvers();
  }

  function isGood(event: MarketEvent): boolean {
    const reason = rejectionOf(event);
    if (reason) metrics.rowsRejected.inc({ reason });
    return reason === undefined;
  }

  return {
    push(events) {
      for (const [type, rows] of Map.groupBy(events.filter(isGood), (event) => event.type)) {
        waiting.push({
          seq: ++seq,
          type: FRAME_ROWS,
          table: TABLES[type].code,
          payload: Buffer.from(rows.map(encodeRow).join('')),
          rows: rows.length,
          receivedAt: rows[0]?.receivedAt,
          // Where a frame lies is a matter between a spool and itself.
          segment: undefined as unknown as SpooledFrame['segment'],
          end: 0,
        });
      }
      notify();
    },
    async read(_limits, signal) {
      const onAbort = () => notify();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        while (waiting.length === 0 && !ended && !signal.aborted) await wake.promise;
        if (signal.aborted || waiting.length === 0) return undefined;
        taken = waiting;
        waiting = [];
        return { epoch, frames: taken, rows: taken.reduce((sum, { rows }) => sum + rows, 0) };
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
    async release({ frames }) {
      if (frames === taken) taken = [];
    },
    /** What was released is gone. */
    rewind() {
      waiting = [...taken, ...waiting];
      taken = [];
    },
    end() {
      ended = true;
      notify();
    },
    isEmpty: () => waiting.length + taken.length === 0,
  };
}
