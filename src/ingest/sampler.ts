/**
 * Which order books go to the table: the state at each grid point of the wall clock, if it changed
 * since the last one. Grid points, so that two daemons make the same key. Redis gets every change.
 *
 * The clock is an argument: live, a timer calls `advance`; in a replay the recording's clock does.
 */
import type { Micros, OrderBookSnapshot } from './events.ts';

export function createSampler(intervalMs: number, emit: (snapshot: OrderBookSnapshot) => void) {
  const interval = intervalMs * 1000;
  /** Changed since their last sample, by symbol. */
  const changed = new Map<string, OrderBookSnapshot>();
  let reached: Micros | undefined;

  function advance(now: Micros): void {
    const grid = Math.floor(now / interval) * interval;
    if (reached !== undefined && grid > reached) {
      for (const snapshot of changed.values()) emit({ ...snapshot, time: grid });
      changed.clear();
    }
    // A clock that is set back starts a new grid: samples of the repeated time meet the same keys.
    reached = grid;
  }

  return {
    /** A book as it stands from `snapshot.receivedAt` on. */
    push(snapshot: OrderBookSnapshot): void {
      advance(snapshot.receivedAt);
      changed.set(snapshot.symbol, snapshot);
    },
    /** The book is out of sync: what was seen of it is not sampled. */
    forget(symbol: string): void {
      changed.delete(symbol);
    },
    advance,
  };
}
