/**
 * Reads segments back in order, from wherever the memory of the spool ends. What it cannot trust it
 * steps over, counts and leaves for a person: nothing found on disk keeps the daemon from starting.
 */
import { open } from 'node:fs/promises';
import { codeOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { BatchLimits, SpooledFrame } from './spool.ts';
import type { Segment } from './spool-files.ts';
import {
  countRows,
  decodeFrame,
  decodeSegmentHeader,
  FRAME_HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  SEGMENT_HEADER_BYTES,
} from './spool-format.ts';

/** Holds the longest frame, so that each read makes progress. */
const CHUNK_BYTES = 2 * (MAX_PAYLOAD_BYTES + FRAME_HEADER_BYTES);

export interface SegmentReaderOptions {
  readonly exchange: string;
  /** Shared with the spool, which appends to it and removes from its front. */
  readonly segments: readonly Segment[];
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export function createSegmentReader({ exchange, segments, metrics, logger }: SegmentReaderOptions) {
  let generation = 0;
  let offset = 0;
  /** A write that failed half-way is repeated in the next segment: the second copy is skipped. */
  const lastSeq = new Map<string, number>();

  function current(): Segment | undefined {
    const segment = segments.find((s) => s.generation >= generation);
    if (segment && segment.generation > generation) {
      generation = segment.generation;
      offset = 0;
    }
    return segment;
  }

  function isPast(segment: Segment): boolean {
    return (
      segment.generation < generation ||
      (segment.generation === generation && offset >= segment.readable)
    );
  }

  /** Frames of one epoch, up to the limits; none when nothing is left to read. */
  async function read(limits: BatchLimits): Promise<SpooledFrame[]> {
    const frames: SpooledFrame[] = [];
    const size = { rows: 0, bytes: 0 };
    const isFull = () => size.rows >= limits.maxRows || size.bytes >= limits.maxBytes;
    for (let segment = current(); segment && !isFull(); segment = current()) {
      if (frames[0] && frames[0].segment.epoch !== segment.epoch) break;
      if (offset >= segment.readable) {
        if (!segment.finished || !segments.some((s) => s.generation > generation)) break;
        generation++;
        offset = 0;
        continue;
      }
      const chunk = await readChunk(segment);
      if (chunk) decodeChunk(segment, chunk, frames, size, isFull);
    }
    return frames;
  }

  async function readChunk(segment: Segment): Promise<Buffer | undefined> {
    try {
      const handle = await open(segment.path);
      try {
        if (offset === 0) {
          const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
          const { bytesRead } = await handle.read(header, 0, SEGMENT_HEADER_BYTES, 0);
          const decoded = decodeSegmentHeader(header.subarray(0, bytesRead), exchange);
          if ('problem' in decoded || decoded.epoch !== segment.epoch) {
            skipRest(
              segment,
              'problem' in decoded ? decoded.problem : 'epoch differs from its name',
            );
            return undefined;
          }
          offset = SEGMENT_HEADER_BYTES;
        }
        const length = Math.min(segment.readable - offset, CHUNK_BYTES);
        const chunk = Buffer.allocUnsafe(length);
        const { bytesRead } = await handle.read(chunk, 0, length, offset);
        return chunk.subarray(0, bytesRead);
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      logger.error({ path: segment.path }, 'spool segment has disappeared');
      segment.readable = offset;
      return undefined;
    }
  }

  function decodeChunk(
    segment: Segment,
    chunk: Buffer,
    frames: SpooledFrame[],
    size: { rows: number; bytes: number },
    isFull: () => boolean,
  ): void {
    let at = 0;
    while (at < chunk.length && !isFull()) {
      const decoded = decodeFrame(chunk, at);
      if (decoded.kind === 'incomplete') {
        // In the middle of a segment the next read begins with it.
        if (at > 0) break;
        tornEnd(segment, segment.readable - offset);
        return;
      }
      if (decoded.kind === 'implausible') {
        const rest = chunk.subarray(at);
        // Zeros are what a power cut leaves of a write that only made the file longer.
        if (rest.every((byte) => byte === 0)) tornEnd(segment, segment.readable - offset - at);
        else skipRest(segment, `no frame at byte ${offset + at}`);
        return;
      }
      at = decoded.end;
      if (decoded.kind === 'corrupt') {
        metrics.spoolCorruptFrames.inc();
        segment.damaged = true;
        logger.error({ path: segment.path, end: offset + at }, 'spool frame is corrupt, skipped');
        continue;
      }
      const { frame } = decoded;
      if (frame.seq <= (lastSeq.get(segment.epoch) ?? 0)) continue;
      lastSeq.set(segment.epoch, frame.seq);
      const rows = countRows(frame);
      frames.push({ ...frame, rows, segment, end: offset + at });
      size.rows += rows;
      size.bytes += frame.payload.length;
    }
    offset += at;
  }

  /** The end of a segment that a crash cut short: it was never accepted. */
  function tornEnd(segment: Segment, bytes: number): void {
    metrics.spoolTornBytes.inc(bytes);
    logger.warn({ path: segment.path, bytes }, 'spool segment ends in a torn write');
    segment.readable -= bytes;
    offset = segment.readable;
  }

  function skipRest(segment: Segment, problem: string): void {
    metrics.spoolCorruptFrames.inc();
    segment.damaged = true;
    logger.error({ path: segment.path, problem }, 'spool segment cannot be read on, skipped');
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
      generation = segment.generation;
      offset = end;
      lastSeq.set(segment.epoch, seq);
    },
  };
}
