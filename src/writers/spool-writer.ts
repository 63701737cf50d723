/**
 * Appends groups of frames to segments.
 *
 *   (none) -> active -> finished (full) | abandoned (an error) -> (none)
 *
 * After a failed write or fsync nothing is known of the file any more: fsync would not report it
 * twice. It is cut back to what is known to be good, and the group goes to a new one.
 */
import type { FileHandle } from 'node:fs/promises';
import { rm } from 'node:fs/promises';
import type { Config } from '../config.ts';
import { codeOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import {
  createDurably,
  newSegment,
  nextGeneration,
  type Segment,
  segmentPath,
  writeAll,
} from './spool-files.ts';
import {
  encodeFrames,
  encodeSegmentHeader,
  type Frame,
  SEGMENT_HEADER_BYTES,
} from './spool-format.ts';

export interface SegmentWriterOptions {
  readonly folder: string;
  readonly exchange: string;
  readonly epoch: string;
  readonly fsync: Config['spool']['fsync'];
  readonly segmentBytes: number;
  /** Shared with the spool: new segments are added to its end. */
  readonly segments: Segment[];
  readonly metrics: Pick<Metrics, 'spoolErrors' | 'spoolSync'>;
  readonly logger: Logger;
}

export type SegmentWriter = ReturnType<typeof createSegmentWriter>;

export function createSegmentWriter(options: SegmentWriterOptions) {
  const { folder, exchange, epoch, fsync, segments, metrics, logger } = options;
  let generation: number | undefined;
  let active: { readonly segment: Segment; readonly handle: FileHandle } | undefined;

  /** Resolves, when the group is durable, to the segment that it ends. Throws: then it is not. */
  async function write(group: readonly Frame[]): Promise<Segment> {
    const bytes = encodeFrames(group);
    const startedAt = performance.now();
    try {
      active ??= await begin(group[0]?.seq ?? 0);
      const { segment, handle } = active;
      await writeAll(handle, bytes, segment.readable);
      if (fsync !== 'os') await handle.datasync();
      segment.readable += bytes.length;
      segment.writtenAtMs = performance.now();
      metrics.spoolSync.observe((segment.writtenAtMs - startedAt) / 1000);
      return segment;
    } catch (error) {
      metrics.spoolErrors.inc({ operation: 'write' });
      // Of an attempt to begin one that could not be removed either: no frame is in it.
      if (codeOf(error) === 'EEXIST' && generation !== undefined) generation++;
      await abandon();
      throw error;
    }
  }

  async function begin(firstSeq: number) {
    generation ??= await nextGeneration(folder);
    const path = segmentPath(folder, generation, epoch);
    const header = encodeSegmentHeader({ exchange, epoch, firstSeq });
    const handle = await createDurably(folder, path, header);
    const segment = newSegment({
      path,
      generation: generation++,
      epoch,
      openedAtMs: Date.now(),
      writtenAtMs: performance.now(),
      readable: SEGMENT_HEADER_BYTES,
      finished: false,
    });
    segments.push(segment);
    return { segment, handle };
  }

  async function abandon(): Promise<void> {
    if (!active) return;
    const { segment, handle } = active;
    try {
      // What was half written is written again elsewhere; a reader would skip it by its seq.
      await handle.truncate(segment.readable);
    } catch (error) {
      logger.warn({ err: error, path: segment.path }, 'spool segment could not be cut');
    }
    await finish();
    if (segment.readable > SEGMENT_HEADER_BYTES) return;
    // Nothing is in it: a disk that stays full for hours shall not get a file for each attempt.
    segments.splice(segments.indexOf(segment), 1);
    try {
      await rm(segment.path, { force: true });
    } catch (error) {
      metrics.spoolErrors.inc({ operation: 'unlink' });
      logger.warn({ err: error, path: segment.path }, 'spool segment could not be removed');
    }
  }

  /** The next group begins a new segment. Never rejects: what is in this one is durable already. */
  async function finish(): Promise<void> {
    if (!active) return;
    const { segment, handle } = active;
    active = undefined;
    segment.finished = true;
    try {
      await handle.close();
    } catch (error) {
      metrics.spoolErrors.inc({ operation: 'close' });
      logger.warn({ err: error, path: segment.path }, 'spool segment could not be closed');
    }
  }

  return {
    write,
    finish,
    isFull: (): boolean => (active?.segment.readable ?? 0) >= options.segmentBytes,
  };
}
