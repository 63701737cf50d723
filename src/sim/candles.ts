/**
 * The candles of one market, without holes: an interval without trades has one too, flat at the last
 * price.
 */
import type { SimTrade } from './trade-law.ts';

/** Prices in ticks, volumes in lots, quote volumes in ticks times lots. */
export interface SimCandle {
  readonly openTime: number;
  /** Last millisecond of the interval. */
  readonly closeTime: number;
  open: number;
  high: number;
  low: number;
  close: number;
  lots: number;
  takerBuyLots: number;
  /** Beyond 2^53 in a busy minute. */
  quote: bigint;
  takerBuyQuote: bigint;
  trades: number;
  /** -1: no trade yet. */
  firstId: number;
  lastId: number;
}

export function createSimCandles(intervalMs: number, startTime: number, startTicks: number) {
  const closed: SimCandle[] = [];
  const firstOpenTime = Math.floor(startTime / intervalMs) * intervalMs;
  let current = emptyCandle(firstOpenTime, intervalMs, startTicks);

  return {
    /** The candle that is still open. */
    current: (): Readonly<SimCandle> => current,
    /** Closes what has ended by `now`, oldest first. Call it before adding a trade of that time. */
    roll(now: number): readonly Readonly<SimCandle>[] {
      const ended: SimCandle[] = [];
      while (now > current.closeTime) {
        ended.push(current);
        current = emptyCandle(current.closeTime + 1, intervalMs, current.close);
      }
      closed.push(...ended);
      return ended;
    },
    add(trade: SimTrade): void {
      const { ticks, lots } = trade;
      if (current.trades === 0) {
        current.open = current.high = current.low = ticks;
        current.firstId = trade.id;
      }
      current.high = Math.max(current.high, ticks);
      current.low = Math.min(current.low, ticks);
      current.close = ticks;
      current.lastId = trade.id;
      current.trades += 1;
      const quote = BigInt(ticks) * BigInt(lots);
      current.lots += lots;
      current.quote += quote;
      if (trade.takerSells) return;
      current.takerBuyLots += lots;
      current.takerBuyQuote += quote;
    },
    /** Candles whose open time lies within [from, to], the open one included, oldest first. */
    between(from: number, to: number): readonly Readonly<SimCandle>[] {
      const index = Math.max(0, Math.ceil((from - firstOpenTime) / intervalMs));
      const end = Math.floor((to - firstOpenTime) / intervalMs) + 1;
      const found: Readonly<SimCandle>[] = end > index ? closed.slice(index, end) : [];
      return current.openTime >= from && current.openTime <= to ? [...found, current] : found;
    },
  };
}

function emptyCandle(openTime: number, intervalMs: number, ticks: number): SimCandle {
  return {
    openTime,
    closeTime: openTime + intervalMs - 1,
    open: ticks,
    high: ticks,
    low: ticks,
    close: ticks,
    lots: 0,
    takerBuyLots: 0,
    quote: 0n,
    takerBuyQuote: 0n,
    trades: 0,
    firstId: -1,
    lastId: -1,
  };
}
