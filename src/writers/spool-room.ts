/**
 * How much of the disk the spool may have, and what is held back as that fills.
 *
 *   roomy --80 %--> thin --90 %--> no_books --100 %, or the disk is full--> full
 *
 * Stored segments that are only kept for a while do not count: they go first.
 */
import { statfs } from 'node:fs/promises';
import { UsageError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Segment } from './spool-files.ts';

export type Pressure = 'roomy' | 'thin' | 'no_books' | 'full';

const MIB = 1024 * 1024;
const DEFAULT_BYTES = 4096 * MIB;
const SHARE = 0.8;
const THIN = 0.8;
const NO_BOOKS = 0.9;

/** Throws UsageError `spool_too_large`: the disk would be full before the cap is reached. */
export async function capOf(
  folder: string,
  maxBytes: number | undefined,
  logger: Logger,
): Promise<number> {
  const volume = await statfs(folder);
  const most = Math.floor(volume.blocks * volume.bsize * SHARE);
  // Some network file systems do not tell.
  if (most === 0) return maxBytes ?? DEFAULT_BYTES;
  if (maxBytes !== undefined && maxBytes > most) {
    throw new UsageError(
      'spool_too_large',
      `spool.maxBytes ${maxBytes} is more than 80 % of the volume of ${folder}; ` +
        `set it to ${most} or less, or give the spool a larger volume`,
    );
  }
  if (maxBytes === undefined && most < DEFAULT_BYTES) {
    logger.warn({ maxBytes: most, folder }, 'spool is capped at 80 % of its small volume');
    return most;
  }
  return maxBytes ?? DEFAULT_BYTES;
}

export interface RoomOptions {
  readonly maxBytes: number;
  /** Shared with the spool. */
  readonly segments: readonly Segment[];
  /** Stored, and only kept for a while. */
  readonly isDone: (segment: Segment) => boolean;
}

export type Room = ReturnType<typeof createRoom>;

export function createRoom({ maxBytes, segments, isDone }: RoomOptions) {
  let refused = false;

  const bytesOf = (some: readonly Segment[]) => some.reduce((sum, s) => sum + s.readable, 0);

  return {
    maxBytes,
    /** Whether so many bytes more are within the cap. Where there is nothing, any are. */
    fits: (bytes: number): boolean =>
      segments.length === 0 || bytesOf(segments) + bytes <= maxBytes,
    /** Whether what is only kept for a while has to go now. */
    isShort: (): boolean => refused || bytesOf(segments) > THIN * maxBytes,
    /** The disk took a write, or did not for want of space. */
    setRefused(full: boolean): void {
      refused = full;
    },
    pressure(): Pressure {
      if (refused) return 'full';
      const share = bytesOf(segments.filter((segment) => !isDone(segment))) / maxBytes;
      return share < THIN ? 'roomy' : share < NO_BOOKS ? 'thin' : 'no_books';
    },
  };
}
