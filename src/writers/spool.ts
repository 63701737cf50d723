/**
 * Accepted rows on disk, in exactly the bytes that COPY takes.
 *
 *   append -> group -> write + fdatasync = accepted -> read -> stored -> released -> unlinked
 *
 * A FIFO. Memory holds the front of it up to a bound; when that is full, rows are read back from
 * the segments until the reader has caught up, so that memory does not grow with an outage. Frames
 * are known by (epoch, seq); which of them are stored only PostgreSQL knows, so there is no ledger
 * here: a restart reads everything that is left, and the store skips what it has.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Micros } from '../ingest/events.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { listSegments, lockFolder, type Segment, setAside } from './spool-files.ts';
import {
  type Frame,
  FRAME_HEADER_BYTES,
  FRAME_ROWS,
  type FrameType,
  MAX_PAYLOAD_BYTES,
} from './spool-format.ts';
import { createSegmentReader } from './spool-reader.ts';
import { createSegmentWriter } from './spool-writer.ts';

/** Rows of one table that were accepted together. */
export interface SpooledFrame extends Frame {
  readonly rows: number;
  /** Of the oldest row; unknown after it was read back from disk. */
  readonly receivedAt?: Micros | undefined;
  readonly segment: Segment;
  /** Where it ends in its segment. */
  readonly end: number;
}

export interface Batch {
  readonly epoch: string;
  readonly frames: readonly SpooledFrame[];
  readonly rows: number;
}

export interface BatchLimits {
  readonly maxRows: number;
  readonly maxBytes: number;
  readonly maxDelayMs: number;
}

export interface SpoolOptions {
  readonly exchange: string;
  readonly config: Config['spool'];
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export type Spool = Awaited<ReturnType<typeof openSpool>>;

interface Pending extends Frame {
  readonly rows: number;
  readonly receivedAt: Micros;
}

/** Throws HyperfeedError `spool_locked`, or the file system's error: the folder cannot be used. */
export async function openSpool({ exchange, config, metrics, logger }: SpoolOptions) {
  const folder = join(config.directory, exchange.replaceAll(':', '-'));
  const epoch = randomBytes(8).toString('hex');
  const lock = await lockFolder(folder);
  const segments = await listSegments(folder);

  let nextSeq = 1;
  let writing: Promise<void> | undefined;
  let waiting: Pending[] = [];
  let waitingBytes = 0;
  let memory: SpooledFrame[] = [];
  let memoryBytes = 0;
  let unreadRows = 0;
  let wake = Promise.withResolvers<void>();
  let closed = false;

  /** Taken and not released yet; a FIFO. */
  let inFlight: Batch[] = [];

  const writer = createSegmentWriter({
    folder,
    exchange,
    epoch,
    config,
    segments,
    metrics,
    logger,
  });
  /** The reader's place. While it is behind what memory holds, everything goes by way of the disk. */
  const reader = createSegmentReader({ exchange, segments, metrics, logger });
  let spilling = segments.length > 0;

  /** Queues rows of one table; false when they had to be given up on: the disk does not keep up. */
  function append(
    table: number,
    payload: Buffer,
    rows: number,
    receivedAt: Micros,
    type: FrameType = FRAME_ROWS,
  ): boolean {
    if (payload.length > MAX_PAYLOAD_BYTES || waitingBytes > config.unwrittenBytes) return false;
    waiting.push({ seq: nextSeq++, type, table, payload, rows, receivedAt });
    waitingBytes += payload.length;
    metrics.spoolRowsPending.inc(rows);
    writing ??= writeWaiting().finally(() => (writing = undefined));
    return true;
  }

  async function writeWaiting(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      accept(group, await writer.write(group));
      for (const frame of group) waitingBytes -= frame.payload.length;
      if (!writer.isFull()) continue;
      await writer.finish();
      await sweep();
    }
  }

  /** The group is durable: the store may have it. */
  function accept(group: readonly Pending[], segment: Segment): void {
    let end = segment.readable;
    for (const { payload } of group) end -= FRAME_HEADER_BYTES + payload.length;
    for (const frame of group) {
      end += FRAME_HEADER_BYTES + frame.payload.length;
      if (memoryBytes + frame.payload.length > config.memoryBytes) spilling = true;
      unreadRows += frame.rows;
      if (spilling) continue;
      memory.push({ ...frame, segment, end });
      memoryBytes += frame.payload.length;
    }
    notify();
    observe();
  }

  function notify(): void {
    wake.resolve();
    wake = Promise.withResolvers();
  }

  /** The next rows, in order; undefined when `signal` aborted, or when closed and empty. */
  async function read(limits: BatchLimits, signal: AbortSignal): Promise<Batch | undefined> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = () => aborted.resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        const batch = await readOnce(limits, signal, aborted.promise);
        // Nothing but torn ends was left on disk: go on with what came in meanwhile.
        if (batch?.frames.length !== 0) return batch;
      }
    } finally {
      // The signal lives as long as the process.
      signal.removeEventListener('abort', onAbort);
    }
  }

  async function readOnce(
    limits: BatchLimits,
    signal: AbortSignal,
    aborted: Promise<void>,
  ): Promise<Batch | undefined> {
    while (memory.length === 0 && !spilling) {
      if (signal.aborted || closed) return undefined;
      await Promise.race([wake.promise, aborted]);
    }
    const [oldest] = memory;
    if (oldest && !spilling) await gather(limits, aborted);
    if (signal.aborted) return undefined;
    const batch = memory.length > 0 ? takeFromMemory(limits) : await takeFromDisk(limits);
    if (batch.frames.length > 0) inFlight.push(batch);
    return batch;
  }

  /** Lets others share the transaction. */
  async function gather(limits: BatchLimits, aborted: Promise<void>): Promise<void> {
    const until = performance.now() + limits.maxDelayMs;
    while (!closed && unreadRows < limits.maxRows && memoryBytes < limits.maxBytes) {
      const leftMs = until - performance.now();
      if (leftMs <= 0) return;
      const timer = new AbortController();
      const timeout = sleep(leftMs, undefined, { signal: timer.signal }).catch(() => undefined);
      await Promise.race([wake.promise, timeout, aborted]);
      timer.abort();
    }
  }

  function takeFromMemory(limits: BatchLimits): Batch {
    let rows = 0;
    let bytes = 0;
    let count = 0;
    for (const frame of memory) {
      if (count > 0 && (rows >= limits.maxRows || bytes >= limits.maxBytes)) break;
      rows += frame.rows;
      bytes += frame.payload.length;
      count++;
      frame.segment.outstanding++;
    }
    const frames = memory.slice(0, count);
    memory = memory.slice(count);
    memoryBytes -= bytes;
    unreadRows -= rows;
    const last = frames.at(-1);
    if (last) reader.skipTo(last);
    return { epoch, frames, rows };
  }

  async function takeFromDisk(limits: BatchLimits): Promise<Batch> {
    const frames = await reader.read(limits);
    for (const frame of frames) frame.segment.outstanding++;
    const rows = frames.reduce((sum, frame) => sum + frame.rows, 0);
    const own = frames[0]?.segment.epoch === epoch;
    if (own) unreadRows -= rows;
    else metrics.spoolRowsPending.inc(rows);
    // Asked now, not before the read returned: rows may have been accepted meanwhile.
    if (reader.isAtEnd()) spilling = false;
    await sweep();
    return { epoch: frames[0]?.segment.epoch ?? epoch, frames, rows };
  }

  /** These rows are stored. */
  async function release(batch: Batch): Promise<void> {
    inFlight = inFlight.filter((other) => other !== batch);
    for (const frame of batch.frames) frame.segment.outstanding--;
    metrics.spoolRowsPending.dec(batch.rows);
    await sweep();
  }

  /** Unlinks what is read to its end and stored. */
  async function sweep(): Promise<void> {
    for (let segment = segments[0]; segment && isDone(segment); segment = segments[0]) {
      segments.shift();
      try {
        if (segment.damaged) {
          const path = await setAside(folder, segment);
          logger.error({ path }, 'spool segment was damaged, kept for a look');
        } else {
          await rm(segment.path, { force: true });
        }
      } catch (error) {
        // It will be read again after a restart, and what it holds is skipped as stored.
        metrics.spoolErrors.inc({ operation: 'unlink' });
        logger.warn({ err: error, path: segment.path }, 'spool segment could not be removed');
      }
    }
    observe();
  }

  function isDone(segment: Segment): boolean {
    return segment.finished && isIdle(segment);
  }

  function observe(): void {
    metrics.spoolSegments.set(segments.length);
    metrics.spoolBytes.set(segments.reduce((sum, segment) => sum + segment.readable, 0));
  }

  /** Resolves when everything that was appended is accepted, or `deadline` aborts. */
  async function flush(deadline: AbortSignal): Promise<void> {
    if (deadline.aborted) return;
    const aborted = new Promise<void>((resolve) => {
      deadline.addEventListener('abort', () => resolve(), { once: true });
    });
    while (writing && !deadline.aborted) await Promise.race([writing, aborted]);
  }

  return {
    folder,
    epoch,
    append,
    read,
    release,
    flush,
    /** No rows come any more: `read` gives what is left, then undefined. */
    end(): void {
      closed = true;
      notify();
    },
    async close(): Promise<void> {
      await writer.finish();
      await sweep();
      lock.release();
    },
    /** True when nothing is left that is not stored. */
    isEmpty: () => waiting.length === 0 && !writing && segments.every(isIdle),
    status: () => ({
      folder,
      epoch,
      segments: segments.length,
      bytes: segments.reduce((sum, segment) => sum + segment.readable, 0),
      unwrittenBytes: waitingBytes,
      oldestAt: oldestAt(),
    }),
  };

  /** Read to its end, though more may be appended. */
  function isIdle(segment: Segment): boolean {
    return segment.outstanding === 0 && reader.isPast(segment);
  }

  /** When the oldest row that is not stored came in; of rows on disk, what their segment tells. */
  function oldestAt(): Micros | undefined {
    const frame = inFlight[0]?.frames[0] ?? memory[0];
    const segment = frame?.segment ?? (spilling && segments.find((s) => !reader.isPast(s)));
    return frame?.receivedAt ?? (segment ? segment.openedAtMs * 1000 : undefined);
  }
}
