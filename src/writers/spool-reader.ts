/**
 * Reads segments back in order, from wherever the memory of the spool ends. What it cannot trust it
 * steps over, counts and leaves for a person: nothing found on disk keeps the daemon from starting.
 *
 * Behind a damaged frame the next sound one is searched for, byte by byte: a wrong length costs no
 * more than a wrong digit.
 */
import { open } from 'node:fs/promises';
import { codeOf, messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { BatchLimits, SpooledFrame } from './spool.ts';
import type { Segment } from './spool-files.ts';
import {
  countRows,
  decodeFrame,
  decodeSegmentHeader,
  type Frame,
  FRAME_HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  SEGMENT_HEADER_BYTES,
} from './spool-format.ts';

/** Holds the longest frame, so that each read makes progress. */
const CHUNK_BYTES = 2 * (MAX_PAYLOAD_BYTES + FRAME_HEADER_BYTES);
/** Of a file that is there and will not be read by trying again. */
const UNREADABLE = new Set(['EACCES', 'EPERM', 'EISDIR', 'ELOOP', 'EIO', 'ENXIO']);

export interface SegmentReaderOptions {
  readonly exchange: string;
  /** Shared with the spool, which appends to it and removes from its front. */
  readonly segments: readonly Segment[];
  readonly metrics: Pick<Metrics, 'spoolCorruptFrames' | 'spoolTornBytes'>;
  readonly logger: Logger;
}

/** What a read has found so far. */
interface Found {
  readonly frames: SpooledFrame[];
  rows: number;
  bytes: number;
}

export function createSegmentReader({ exchange, segments, metrics, logger }: SegmentReaderOptions) {
  let generation = 0;
  let offset = 0;
  /**
   * A write that failed half-way is repeated in the next segment. What is left of the first copy may
   * have holes, and rows must not come before those that they follow: the second copy counts.
   */
  let repeatedFrom = Infinity;
  const lastSeq = new Map<string, number>();
  /** Where no frame was found, while the next one is searched for. */
  let bad: { readonly at: number; readonly cut: boolean; zeros: boolean } | undefined;
  /** Changes when the reader's place is moved under a read. */
  let moves = 0;

  function current(): Segment | undefined {
    const segment = segments.find((s) => s.generation >= generation);
    if (segment && segment.generation > generation) begin(segment.generation);
    return segment;
  }

  function begin(next: number): void {
    generation = next;
    offset = 0;
    bad = undefined;
    repeatedFrom = Infinity;
  }

  function isPast(segment: Segment): boolean {
    return (
      segment.generation < generation ||
      (segment.generation === generation && offset >= segment.readable)
    );
  }

  /** Frames of one epoch, up to the limits; none when nothing is left to read. */
  async function read(limits: BatchLimits): Promise<SpooledFrame[]> {
    const found: Found = { frames: [], rows: 0, bytes: 0 };
    const isFull = () => found.rows >= limits.maxRows || found.bytes >= limits.maxBytes;
    const before = moves;
    for (let segment = current(); segment && !isFull(); segment = current()) {
      const [first] = found.frames;
      if (first && first.segment.epoch !== segment.epoch) break;
      if (offset >= segment.readable) {
        if (!segment.finished || !segments.some((s) => s.generation > generation)) break;
        begin(generation + 1);
        continue;
      }
      const loaded = await loadNext(segment).catch((error: Error) => error);
      if (moves !== before) return [];
      if (loaded instanceof Error) {
        // The next read comes here again, and would not find again what was found on the way.
        if (first) break;
        throw loaded;
      }
      const { chunk } = loaded;
      repeatedFrom = loaded.repeatedFrom;
      if (typeof chunk === 'string') leave(segment, 'unread', chunk);
      else decode(segment, chunk, found, isFull);
    }
    return found.frames;
  }

  async function loadNext(segment: Segment) {
    return {
      repeatedFrom: offset === 0 ? await firstSeqAfter(segment) : repeatedFrom,
      chunk: await load(segment, offset, segment.readable),
    };
  }

  /** Where the next segment of its epoch begins. */
  async function firstSeqAfter({ generation: own, epoch }: Segment): Promise<number> {
    const next = segments.find((s) => s.generation > own && s.epoch === epoch);
    const header = next && (await load(next, 0, SEGMENT_HEADER_BYTES));
    if (header === undefined || typeof header === 'string') return Infinity;
    const decoded = decodeSegmentHeader(header, exchange);
    return decoded.kind === 'header' ? decoded.firstSeq : Infinity;
  }

  /** Bytes of a file, or why it cannot be read. */
  async function load(segment: Segment, from: number, to: number): Promise<Buffer | string> {
    const length = Math.min(to - from, CHUNK_BYTES);
    try {
      const handle = await open(segment.path);
      try {
        const chunk = Buffer.allocUnsafe(length);
        const { bytesRead } = await handle.read(chunk, 0, length, from);
        return bytesRead > 0 ? chunk.subarray(0, bytesRead) : 'ends too early';
      } finally {
        await handle.close();
      }
    } catch (error) {
      const code = codeOf(error) ?? '';
      // Somebody removed it: there is nothing to be kept.
      if (code !== 'ENOENT' && !UNREADABLE.has(code)) throw error;
      return messageOf(error);
    }
  }

  function decode(segment: Segment, chunk: Buffer, found: Found, isFull: () => boolean): void {
    // A file can be shorter than what was written to it.
    const isLast = chunk.length < CHUNK_BYTES || offset + chunk.length >= segment.readable;
    let at = 0;
    if (offset === 0) {
      at = decodeHeader(segment, chunk);
      if (at === 0) return;
    }
    while (at < chunk.length && !isFull()) {
      const decoded = decodeFrame(chunk, at);
      if (decoded.kind === 'frame') {
        if (bad) corrupt(segment, bad.at, offset + at);
        at = decoded.end;
        take(segment, decoded.frame, offset + at, found);
      } else if (decoded.kind === 'incomplete' && !isLast) {
        // The next read begins with it.
        break;
      } else {
        bad ??= { at: offset + at, cut: decoded.kind === 'incomplete', zeros: true };
        bad.zeros &&= chunk[at] === 0;
        at++;
      }
    }
    offset += at;
    if (bad && offset >= segment.readable) endWithout(segment, bad);
  }

  /** Where the frames begin; 0 when there are none. */
  function decodeHeader(segment: Segment, chunk: Buffer): number {
    const decoded = decodeSegmentHeader(chunk.subarray(0, SEGMENT_HEADER_BYTES), exchange);
    const isEmpty = chunk.length <= SEGMENT_HEADER_BYTES && chunk.every((byte) => byte === 0);
    if (decoded.kind === 'torn' || isEmpty) {
      torn(segment, 0);
      return 0;
    }
    if (decoded.kind === 'foreign') {
      leave(segment, 'unread', decoded.problem);
      return 0;
    }
    // Frames do without it: their epoch is in the name of the file.
    if (decoded.kind === 'damaged' || decoded.epoch !== segment.epoch) {
      corrupt(segment, 0, SEGMENT_HEADER_BYTES);
    }
    return SEGMENT_HEADER_BYTES;
  }

  function take(segment: Segment, frame: Frame, end: number, found: Found): void {
    if (frame.seq >= repeatedFrom || frame.seq <= (lastSeq.get(segment.epoch) ?? 0)) return;
    lastSeq.set(segment.epoch, frame.seq);
    const rows = countRows(frame);
    // At once: the place moves on with it, and what lies before that counts as stored or lost.
    segment.outstanding++;
    found.frames.push({ ...frame, rows, segment, end });
    found.rows += rows;
    found.bytes += frame.payload.length;
  }

  /** No frame follows up to the end of the segment. */
  function endWithout(segment: Segment, { at, cut, zeros }: NonNullable<typeof bad>): void {
    // Zeros are what a power cut leaves of a write that only made the file longer.
    if (segment.finished && (cut || zeros)) torn(segment, at);
    else corrupt(segment, at, segment.readable);
  }

  function corrupt(segment: Segment, from: number, to: number): void {
    bad = undefined;
    metrics.spoolCorruptFrames.inc();
    segment.keep ??= 'corrupt';
    logger.error({ path: segment.path, from, to }, 'spool holds bytes that are no frame, skipped');
  }

  /** The end of a segment that a crash cut short: it was never accepted. */
  function torn(segment: Segment, from: number): void {
    bad = undefined;
    const bytes = segment.readable - from;
    metrics.spoolTornBytes.inc(bytes);
    logger.warn({ path: segment.path, bytes }, 'spool segment ends in a torn write');
    segment.readable = from;
    offset = from;
  }

  function leave(segment: Segment, keep: 'unread', problem: string): void {
    metrics.spoolCorruptFrames.inc();
    segment.keep = keep;
    bad = undefined;
    logger.error({ path: segment.path, problem }, 'spool segment cannot be read, left aside');
    offset = segment.readable;
  }

  return {
    read,
    isPast,
    /** Whether everything that may be read has been. */
    isAtEnd(): boolean {
      const last = segments.at(-1);
      return !last || isPast(last);
    },
    /** The frames up to this one came from memory. */
    skipTo({ segment, end, seq }: SpooledFrame): void {
      begin(segment.generation);
      offset = end;
      lastSeq.set(segment.epoch, seq);
    },
    /** From the oldest segment again. */
    rewind(): void {
      moves++;
      begin(0);
      lastSeq.clear();
    },
  };
}
