/**
 * What becomes of segments that are stored: kept for a while, in case the server forgets what it
 * committed (an asynchronous standby is promoted, a backup restored), then unlinked.
 */
import { rm } from 'node:fs/promises';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { type Segment, setAside } from './spool-files.ts';
import type { Room } from './spool-room.ts';

export interface RetentionOptions {
  readonly folder: string;
  readonly retainSeconds: number;
  /** Shared with the spool: those that go are taken from its front. */
  readonly segments: Segment[];
  readonly isDone: (segment: Segment) => boolean;
  readonly room: Pick<Room, 'isShort'>;
  readonly onUnlinked: () => void;
  readonly metrics: Pick<Metrics, 'spoolErrors'>;
  readonly logger: Logger;
}

export function createRetention(options: RetentionOptions) {
  const { folder, retainSeconds, segments, isDone, room, metrics, logger } = options;

  const isDue = ({ writtenAtMs }: Segment) =>
    performance.now() - writtenAtMs >= retainSeconds * 1000 || room.isShort();

  async function remove(segment: Segment): Promise<void> {
    try {
      if (segment.keep) {
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

  /** Those of which all is stored, from the oldest on, as far as their time is over. */
  return async function sweep(): Promise<void> {
    let removed = false;
    for (let s = segments[0]; s && isDone(s) && isDue(s); s = segments[0]) {
      segments.shift();
      await remove(s);
      removed = true;
    }
    if (removed) options.onUnlinked();
  };
}
