/** The front of a spool in memory, up to a bound: so that what is stored soon need not be read back. */
import type { BatchLimits, SpooledFrame } from './spool.ts';

export function createSpoolMemory(maxBytes: number) {
  let frames: SpooledFrame[] = [];
  let bytes = 0;

  return {
    hasRoomFor: ({ payload }: Pick<SpooledFrame, 'payload'>) => bytes + payload.length <= maxBytes,
    push(frame: SpooledFrame): void {
      frames.push(frame);
      bytes += frame.payload.length;
    },
    /** The oldest ones, up to the limits, one at least. */
    take(limits: BatchLimits): SpooledFrame[] {
      let rows = 0;
      let taken = 0;
      let count = 0;
      for (const frame of frames) {
        if (count > 0 && (rows >= limits.maxRows || taken >= limits.maxBytes)) break;
        rows += frame.rows;
        taken += frame.payload.length;
        frame.segment.outstanding++;
        count++;
      }
      const front = frames.slice(0, count);
      frames = frames.slice(count);
      bytes -= taken;
      return front;
    },
    clear(): void {
      frames = [];
      bytes = 0;
    },
    oldest: (): SpooledFrame | undefined => frames[0],
    isEmpty: () => frames.length === 0,
    bytes: () => bytes,
  };
}
