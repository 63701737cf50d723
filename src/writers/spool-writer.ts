/**
 * Appends groups of frames to segments, for as long as that takes.
 *
 *   (none) -> active -> finished (full) | abandoned (an error) -> (none)
 *
 * After a failed write or fsync nothing is known of the file any more: fsync would not report it
 * twice. It is cut back to what is known to be good, and the group goes to a new one.
 */
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { createDurably, type Segment, segmentPath, writeAll } from './spool-files.ts';
import {
  encodeFrames,
  encodeSegmentHeader,
  type Frame,
  SEGMENT_HEADER_BYTES,
} from './spool-format.ts';

const RETRY_MS = 1_000;

export interface SegmentWriterOptions {
  readonly folder: string;
  readonly exchange: string;
  readonly epoch: string;
  readonly config: Pick<Config['spool'], 'fsync' | 'segmentBytes'>;
  /** Shared with the spool: new segments are added to its end. */
  readonly segments: Segment[];
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export function createSegmentWriter(options: SegmentWriterOptions) {
  const { folder, exchange, epoch, config, segments, metrics, logger } = options;
  let nextGeneration = (segments.at(-1)?.generation ?? 0) + 1;
  let active: { readonly segment: Segment; readonly handle: FileHandle } | undefined;

  /** Resolves, when the group is durable, to the segment that it ends. Never rejects. */
  async function write(group: readonly Frame[]): Promise<Segment> {
    const bytes = encodeFrames(group);
    for (;;) {
      const startedAt = performance.now();
      try {
        active ??= await begin(group[0]?.seq ?? 0);
        const { segment, handle } = active;
        await writeAll(handle, bytes, segment.readable);
        if (config.fsync !== 'os') await handle.datasync();
        metrics.spoolSync.observe((performance.now() - startedAt) / 1000);
        segment.readable += bytes.length;
        return segment;
      } catch (error) {
        metrics.spoolErrors.inc({ operation: 'write' });
        logger.error({ err: error, folder }, 'spool cannot be written, trying again');
        await abandon();
        await sleep(RETRY_MS);
      }
    }
  }

  async function begin(firstSeq: number) {
    const generation = nextGeneration++;
    const path = segmentPath(folder, generation, epoch);
    const header = encodeSegmentHeader({ exchange, epoch, firstSeq });
    const handle = await createDurably(folder, path, header);
    const segment: Segment = {
      path,
      generation,
      epoch,
      openedAtMs: Date.now(),
      readable: SEGMENT_HEADER_BYTES,
      finished: false,
      outstanding: 0,
      damaged: false,
    };
    segments.push(segment);
    return { segment, handle };
  }

  async function abandon(): Promise<void> {
    try {
      // What was half written is written again elsewhere; a reader would skip it by its seq.
      await active?.handle.truncate(active.segment.readable);
    } catch (error) {
      logger.warn({ err: error, path: active?.segment.path }, 'spool segment could not be cut');
    }
    await finish();
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
    isFull: (): boolean => (active?.segment.readable ?? 0) >= config.segmentBytes,
  };
}
