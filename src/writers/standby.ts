/**
 * Before the spool: while another daemon of the exchange is active, the rows of the last minute wait
 * in memory instead of on disk. When the turn comes to us they go to the spool, so that nothing is
 * missing from what the other one could not store any more; what it did store is a duplicate.
 */
import type { Metrics } from '../metrics.ts';
import type { Losses } from './losses.ts';
import type { Spool } from './spool.ts';
import { tableOf } from './tables.ts';

type Append = Spool['append'];

interface Held {
  readonly args: Parameters<Append>;
  readonly rows: number;
  readonly bytes: number;
  readonly atMs: number;
}

export interface StandbyOptions {
  readonly spool: Pick<Spool, 'append' | 'pressure'>;
  /** Remembers what the spool does not take. */
  readonly losses: Pick<Losses, 'dropped'>;
  readonly keepMs: number;
  readonly maxBytes: number;
  readonly metrics: Metrics;
  readonly now?: () => number;
}

export function createStandby(options: StandbyOptions) {
  const { spool, losses, keepMs, maxBytes, metrics, now = () => performance.now() } = options;
  let held: Held[] | undefined;
  let bytes = 0;

  function append(...args: Parameters<Append>): boolean {
    if (!held) return spool.append(...args);
    const [, payload, rows] = args;
    held.push({ args, rows, bytes: payload.length, atMs: now() });
    bytes += payload.length;
    metrics.standbyRows.inc(rows);
    forget(held);
    return true;
  }

  function forget(frames: Held[]): void {
    const since = now() - keepMs;
    let count = 0;
    for (const frame of frames) {
      if (frame.atMs >= since && bytes <= maxBytes) break;
      bytes -= frame.bytes;
      metrics.standbyRows.dec(frame.rows);
      metrics.rowsLeft.inc(frame.rows);
      count++;
    }
    frames.splice(0, count);
  }

  return {
    append,
    pressure: spool.pressure,
    /** Another one is active. */
    hold(): void {
      held ??= [];
    },
    /** We are, or nobody can tell. */
    release(): void {
      const frames = held ?? [];
      held = undefined;
      bytes = 0;
      for (const { args, rows } of frames) {
        metrics.standbyRows.dec(rows);
        if (spool.append(...args)) continue;
        const [table, payload] = args;
        metrics.rowsDropped.inc({ reason: 'spool_full' }, rows);
        losses.dropped(tableOf(table), payload.toString(), 'spool_full');
      }
    },
  };
}
