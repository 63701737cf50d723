/**
 * Accepted rows on disk, in exactly the bytes that COPY takes.
 *
 *   append -> group -> write + fdatasync = accepted -> read -> stored -> released -> kept -> unlinked
 *
 * A FIFO. Memory holds the front of it up to a bound; when that is full, rows are read back from
 * the segments until the reader has caught up, so that memory does not grow with an outage. Frames
 * are known by (epoch, seq); which of them are stored only PostgreSQL knows, so there is no ledger
 * here: a restart, or `rewind`, reads everything that is left, and the store skips what it has.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Micros } from '../ingest/events.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { createAccounts, sizeOf } from './spool-accounts.ts';
import { createAppender, type Pending } from './spool-appender.ts';
import { listSegments, makeFolder, type Segment } from './spool-files.ts';
import { type Frame, FRAME_ROWS, type FrameType } from './spool-format.ts';
import { lockFolder } from './spool-lock.ts';
import { createSpoolMemory } from './spool-memory.ts';
import { createSegmentReader } from './spool-reader.ts';
import { createRetention } from './spool-retention.ts';
import { capOf, createRoom } from './spool-room.ts';
import { createSegmentWriter } from './spool-writer.ts';

/** Rows of one table that were accepted together. */
export interface SpooledFrame extends Frame {
  readonly rows: number;
  /** Of the oldest row; unknown after it was read back from disk. */
  readonly receivedAt?: Micros | undefined;
  /** Monotonic ms; of what never left memory. */
  readonly acceptedAt?: number;
  readonly segment: Segment;
  /** Where it ends in its segment. */
  readonly end: number;
}

export interface Batch {
  readonly epoch: string;
  readonly frames: readonly SpooledFrame[];
  readonly rows: number;
}

export type BatchLimits = Config['database']['batch'];

export interface SpoolOptions {
  readonly exchange: string;
  readonly config: Config['spool'];
  /** Of `maxBytes`, where several spools share it. */
  readonly share?: number;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export type Spool = Awaited<ReturnType<typeof openSpool>>;

const TICK_MS = 1_000;
/** So that a cap is not one segment that cannot be given back. */
const SEGMENTS_OF_CAP = 8;

export function spoolFolder(directory: string, exchange: string): string {
  return join(directory, exchange.replaceAll(':', '-'));
}

/**
 * Throws HyperfeedError `spool_locked`, UsageError `spool_too_large`, or the file system's error: the
 * folder cannot be used.
 */
export async function openSpool(options: SpoolOptions) {
  const { exchange, config, share = 1, metrics, logger } = options;
  const folder = spoolFolder(config.directory, exchange);
  const epoch = randomBytes(8).toString('hex');
  await makeFolder(folder);
  const maxBytes = Math.floor(share * (await capOf(folder, config.maxBytes, logger)));
  const lock = await lockFolder(folder, logger);
  const segments = await listSegments(folder, logger);

  const memory = createSpoolMemory(config.memoryBytes);
  let wake = Promise.withResolvers<void>();
  let closed = false;
  let rewinds = 0;
  /** Taken and not released yet; a FIFO. */
  let inFlight = new Set<Batch>();

  /** The reader's place. While it is behind what memory holds, everything goes by way of the disk. */
  const reader = createSegmentReader({ exchange, segments, metrics, logger });
  let spilling = segments.length > 0;
  const accounts = createAccounts({ epoch, segments, isDone, isIdle, metrics });
  const room = createRoom({ maxBytes, segments, isDone });
  const shared = { folder, segments, metrics, logger };
  const unlinkDue = createRetention({
    ...shared,
    retainSeconds: config.retainSeconds,
    isDone,
    room,
    onUnlinked: () => appender.noteFreed(),
  });
  const writer = createSegmentWriter({
    ...shared,
    exchange,
    epoch,
    fsync: config.fsync,
    segmentBytes: Math.min(config.segmentBytes, Math.floor(maxBytes / SEGMENTS_OF_CAP)),
  });
  const appender = createAppender({ config, writer, room, accept, sweep, metrics, logger });
  const ticking = setInterval(() => void sweep(), TICK_MS).unref();
  metrics.spoolMaxBytes.inc(maxBytes);
  accounts.observe();

  /** Queues rows of one table; false when they had to be given up on: the disk does not keep up. */
  function append(
    table: number,
    payload: Buffer,
    rows: number,
    receivedAt: Micros,
    type: FrameType = FRAME_ROWS,
  ): boolean {
    return appender.append({ type, table, payload, rows, receivedAt });
  }

  /** The group is durable: the store may have it. */
  function accept(group: readonly Pending[], segment: Segment): void {
    const acceptedAt = performance.now();
    let end = group.reduce((left, frame) => left - sizeOf(frame), segment.readable);
    for (const frame of group) {
      end += sizeOf(frame);
      spilling ||= !memory.hasRoomFor(frame);
      accounts.accepted(segment, frame.rows);
      if (!spilling) memory.push({ ...frame, segment, end, acceptedAt });
    }
    notify();
    accounts.observe();
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
    while (memory.isEmpty() && !spilling) {
      if (signal.aborted || closed) return undefined;
      await Promise.race([wake.promise, aborted]);
    }
    if (!memory.isEmpty() && !spilling) await gather(limits, aborted);
    if (signal.aborted) return undefined;
    const batch = memory.isEmpty() ? await takeFromDisk(limits) : takeFromMemory(limits);
    if (batch.frames.length > 0) inFlight.add(batch);
    return batch;
  }

  /** Lets others share the transaction; what came in during the one before has waited already. */
  async function gather(limits: BatchLimits, aborted: Promise<void>): Promise<void> {
    const until = (memory.oldest()?.acceptedAt ?? 0) + limits.maxDelayMs;
    while (!closed && accounts.unreadRows() < limits.maxRows && memory.bytes() < limits.maxBytes) {
      const leftMs = until - performance.now();
      if (leftMs <= 0) return;
      const timer = new AbortController();
      const timeout = sleep(leftMs, undefined, { signal: timer.signal }).catch(() => undefined);
      await Promise.race([wake.promise, timeout, aborted]);
      timer.abort();
    }
  }

  function takeFromMemory(limits: BatchLimits): Batch {
    const frames = memory.take(limits);
    const last = frames.at(-1);
    if (last) reader.skipTo(last);
    accounts.handedOut(frames);
    return batchOf(frames);
  }

  async function takeFromDisk(limits: BatchLimits): Promise<Batch> {
    const before = rewinds;
    const frames = await reader.read(limits);
    if (before !== rewinds) return batchOf([]);
    accounts.handedOut(frames);
    // Asked now, not before the read returned: rows may have been accepted meanwhile.
    if (reader.isAtEnd()) spilling = false;
    if (frames.length === 0) await sweep();
    return batchOf(frames);
  }

  function batchOf(frames: readonly SpooledFrame[]): Batch {
    const rows = frames.reduce((sum, frame) => sum + frame.rows, 0);
    return { epoch: frames[0]?.segment.epoch ?? epoch, frames, rows };
  }

  /** These rows are stored. Of a batch from before a `rewind` it says nothing. */
  async function release(batch: Batch): Promise<void> {
    if (!inFlight.delete(batch)) return;
    accounts.stored(batch);
    await sweep();
  }

  /**
   * The server has forgotten what it had: everything that is still on disk is read again, from the
   * oldest segment. Batches that were taken before are void, what a `read` has brought that nobody
   * looked at yet included: stored now, they would move the watermark over rows that come again.
   */
  function rewind(): void {
    rewinds++;
    accounts.rewound(inFlight);
    inFlight = new Set();
    memory.clear();
    reader.rewind();
    spilling = segments.length > 0;
    notify();
    accounts.observe();
  }

  async function sweep(): Promise<void> {
    accounts.countLost();
    await unlinkDue();
    accounts.observe();
  }

  /** All of it is stored. */
  function isDone(segment: Segment): boolean {
    return segment.finished && isIdle(segment);
  }

  /** Read to its end and stored, though more may be appended. */
  function isIdle(segment: Segment): boolean {
    return segment.outstanding === 0 && reader.isPast(segment);
  }

  /** When the oldest row that is not stored came in; of rows on disk, what their segment tells. */
  function oldestAt(): Micros | undefined {
    const [oldest] = inFlight;
    const frame = oldest?.frames[0] ?? memory.oldest();
    const segment = frame?.segment ?? (spilling && segments.find((s) => !reader.isPast(s)));
    return frame?.receivedAt ?? (segment ? segment.openedAtMs * 1000 : undefined);
  }

  return {
    folder,
    epoch,
    append,
    read,
    release,
    rewind,
    flush: appender.flush,
    /** How full the disk is: what is to be held back. */
    pressure: room.pressure,
    /** No rows come any more: `read` gives what is left, then undefined. */
    end(): void {
      closed = true;
      notify();
    },
    /** Writes no more. Resolves to what the disk did not take. */
    seal: appender.close,
    async close(): Promise<void> {
      clearInterval(ticking);
      await appender.close();
      await sweep();
      lock.release();
    },
    /** True when nothing is left that is not stored. */
    isEmpty: () => appender.isIdle() && segments.every(isIdle),
    status() {
      const { unstored, retained } = accounts.bytes();
      return {
        segments: segments.length,
        bytes: unstored,
        retainedBytes: retained,
        maxBytes,
        pressure: room.pressure(),
        problem: appender.problem(),
        unwrittenBytes: appender.waitingBytes(),
        oldestAt: oldestAt(),
      };
    },
  };
}
