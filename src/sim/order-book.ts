/**
 * The true book of one market. Every changed level takes one update id; the diffs that a stream sends
 * are windows on those changes, and a snapshot taken between two diffs lies inside the second one,
 * as on the exchange.
 */
import type { SimInstrument } from './instrument.ts';
import type { TradeLaw } from './trade-law.ts';

/** [price in ticks, lots]; zero lots: the level is gone. */
export type SimLevel = readonly [ticks: number, lots: number];

export interface BookDiff {
  readonly firstUpdateId: number;
  readonly lastUpdateId: number;
  readonly bids: readonly SimLevel[];
  readonly asks: readonly SimLevel[];
}

export interface BookSnapshot {
  readonly lastUpdateId: number;
  readonly bids: readonly SimLevel[];
  readonly asks: readonly SimLevel[];
}

export interface SimOrderBookOptions {
  readonly law: TradeLaw;
  readonly instrument: SimInstrument;
  readonly levels: number;
  readonly firstUpdateId: number;
}

type Levels = Map<number, number>;

export function createSimOrderBook({
  law,
  instrument,
  levels,
  firstUpdateId,
}: SimOrderBookOptions) {
  const bids: Levels = new Map();
  const asks: Levels = new Map();
  const windows = new Set<ReturnType<typeof createWindow>>();
  // Distance of two levels: about a hundred-thousandth of the price.
  const stride = Math.max(1, Math.round(instrument.startTicks * 1e-5));
  let lastUpdateId = firstUpdateId - 1;

  const change = (side: 'bids' | 'asks', ticks: number, lots: number) => {
    lastUpdateId += 1;
    const current = side === 'bids' ? bids : asks;
    if (lots === 0) current.delete(ticks);
    else current.set(ticks, lots);
    for (const window of windows) window[side].set(ticks, lots);
  };

  /** The best price, and below (above) it one level in each cell of the price grid. */
  const target = (best: number, direction: -1 | 1, generation: number): Levels => {
    const result: Levels = new Map([[best, law.restingLots(best, generation)]]);
    for (
      let cell = Math.floor(best / stride);
      result.size < levels && cell >= 0;
      cell += direction
    ) {
      const ticks = law.restingTicks(cell, stride);
      const behind = direction === 1 ? ticks > best : ticks < best && ticks > 0;
      if (behind) result.set(ticks, law.restingLots(ticks, generation));
    }
    return result;
  };

  const move = (side: 'bids' | 'asks', to: Levels) => {
    const from = side === 'bids' ? bids : asks;
    for (const ticks of from.keys()) if (!to.has(ticks)) change(side, ticks, 0);
    for (const [ticks, lots] of to) if (from.get(ticks) !== lots) change(side, ticks, lots);
  };

  return {
    /** Moves the book to where the market stands at trade `tradeId`. */
    advance(tradeId: number, generation: number): void {
      const { bid, ask } = law.touch(tradeId);
      move('bids', target(bid, -1, generation));
      move('asks', target(ask, 1, generation));
    },
    snapshot: (limit: number): BookSnapshot => ({
      lastUpdateId,
      bids: [...bids].toSorted((x, y) => y[0] - x[0]).slice(0, limit),
      asks: [...asks].toSorted((x, y) => x[0] - y[0]).slice(0, limit),
    }),
    /** A stream of diffs from here on. `take` ends one diff and begins the next; null: no change. */
    openWindow(): { take(): BookDiff | null } {
      const window = createWindow(lastUpdateId + 1);
      windows.add(window);
      return {
        take: () => {
          if (lastUpdateId < window.firstUpdateId) return null;
          const diff: BookDiff = {
            firstUpdateId: window.firstUpdateId,
            lastUpdateId,
            bids: [...window.bids].toSorted((x, y) => y[0] - x[0]),
            asks: [...window.asks].toSorted((x, y) => x[0] - y[0]),
          };
          window.bids.clear();
          window.asks.clear();
          window.firstUpdateId = lastUpdateId + 1;
          return diff;
        },
      };
    },
  };
}

function createWindow(firstUpdateId: number) {
  return { firstUpdateId, bids: new Map() as Levels, asks: new Map() as Levels };
}
