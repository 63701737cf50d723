/**
 * What waits for the disk: rows in memory, up to a bound, written in groups for as long as it takes.
 * A full disk, or one that fails, costs time; what it costs beyond the bound, `append` says.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { codeOf } from '../errors.ts';
import type { Micros } from '../ingest/events.ts';
import { createRateLimitedLogger, type Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Segment } from './spool-files.ts';
import { type Frame, FRAME_HEADER_BYTES, MAX_PAYLOAD_BYTES } from './spool-format.ts';
import type { Room } from './spool-room.ts';
import type { SegmentWriter } from './spool-writer.ts';

const RETRY_MS = 1_000;
/** One write and one fdatasync: as much as fits the last gap of a disk that is nearly full. */
const GROUP_BYTES = 1024 * 1024;
const NO_SPACE = new Set(['ENOSPC', 'EDQUOT']);

export interface Pending extends Frame {
  readonly rows: number;
  readonly receivedAt: Micros;
}

export interface AppenderOptions {
  readonly config: Pick<Config['spool'], 'unwrittenBytes'>;
  readonly writer: SegmentWriter;
  readonly room: Room;
  /** The group is durable, at the end of this segment. */
  readonly accept: (group: readonly Pending[], segment: Segment) => void;
  /** Gives back what disk can be given back. */
  readonly sweep: () => Promise<void>;
  readonly metrics: Pick<Metrics, 'spoolRowsPending'>;
  readonly logger: Logger;
}

export function createAppender(options: AppenderOptions) {
  const { config, writer, room, accept, sweep, metrics, logger } = options;
  const limited = createRateLimitedLogger(logger);
  const closing = new AbortController();
  let nextSeq = 1;
  let waiting: Pending[] = [];
  let waitingBytes = 0;
  let writing: Promise<void> | undefined;
  let problem: string | undefined;
  let freed = Promise.withResolvers<void>();

  function append(frame: Omit<Pending, 'seq'>): boolean {
    const { length } = frame.payload;
    if (length > MAX_PAYLOAD_BYTES || waitingBytes > config.unwrittenBytes) return false;
    waiting.push({ seq: nextSeq++, ...frame });
    waitingBytes += length;
    metrics.spoolRowsPending.inc(frame.rows);
    // Not at once: what is appended in the same turn, table by table, shares the fdatasync.
    writing ??= Promise.resolve()
      .then(writeWaiting)
      .finally(() => (writing = undefined));
    return true;
  }

  async function writeWaiting(): Promise<void> {
    while (waiting.length > 0 && !closing.signal.aborted) {
      const group = nextGroup();
      try {
        if (!(await makeRoom(group))) return;
        const segment = await writer.write(group);
        accept(group, segment);
        waiting.splice(0, group.length);
        for (const frame of group) waitingBytes -= frame.payload.length;
        room.setRefused(false);
        problem = undefined;
      } catch (error) {
        problem = codeOf(error) ?? 'unknown';
        const full = NO_SPACE.has(problem);
        room.setRefused(full);
        limited.error(
          { err: error },
          full ? 'disk of the spool is full' : 'spool cannot be written',
        );
        await sweep();
        await pause();
      }
      if (!writer.isFull()) continue;
      await writer.finish();
      await sweep();
    }
  }

  function nextGroup(): Pending[] {
    let bytes = 0;
    const over = waiting.findIndex(
      ({ payload }, i) => (bytes += payload.length) > GROUP_BYTES && i > 0,
    );
    return over === -1 ? waiting.slice() : waiting.slice(0, over);
  }

  /** Waits until the group is within the cap; false: the spool is being closed. */
  async function makeRoom(group: readonly Pending[]): Promise<boolean> {
    const bytes = group.reduce((sum, f) => sum + FRAME_HEADER_BYTES + f.payload.length, 0);
    while (!room.fits(bytes)) {
      await sweep();
      if (room.fits(bytes)) break;
      room.setRefused(true);
      limited.error({ maxBytes: room.maxBytes }, 'spool is at its cap');
      // Else what is in it could not be given back when it is stored.
      await writer.finish();
      await sweep();
      await pause();
      if (closing.signal.aborted) return false;
    }
    return true;
  }

  async function pause(): Promise<void> {
    const timer = new AbortController();
    const signal = AbortSignal.any([timer.signal, closing.signal]);
    await Promise.race([
      sleep(RETRY_MS, undefined, { signal }).catch(() => undefined),
      freed.promise,
    ]);
    timer.abort();
  }

  return {
    append,
    /** There is more room than there was. */
    noteFreed(): void {
      freed.resolve();
      freed = Promise.withResolvers();
    },
    /** Resolves when everything that was appended is accepted, or `deadline` aborts. */
    async flush(deadline: AbortSignal): Promise<void> {
      if (deadline.aborted) return;
      const aborted = new Promise<void>((resolve) => {
        deadline.addEventListener('abort', () => resolve(), { once: true });
      });
      while (writing && !deadline.aborted) await Promise.race([writing, aborted]);
    },
    /** Writes no more, and tells what it did not come to. */
    async close(): Promise<readonly Pending[]> {
      closing.abort();
      await writing;
      await writer.finish();
      const left = waiting;
      waiting = [];
      for (const { rows } of left) metrics.spoolRowsPending.dec(rows);
      return left;
    },
    isIdle: () => waiting.length === 0 && !writing,
    /** Why the last write failed; undefined when it did not. */
    problem: () => problem,
    waitingBytes: () => waitingBytes,
  };
}
