/**
 * Closed candles in whichever way an exchange lets us know them: by its flag, by the next one's
 * opening, or made of its trades. One for all connections to an exchange, so that it lives on when
 * one of them ends. Pure: the clock is an argument.
 */
import type { DecodedCandle, DecodedTrade, WsAdapter } from './adapter.ts';
import { type CandleBuilderOptions, createCandleBuilder } from './candle-builder.ts';
import { createCandleCloser } from './candle-closer.ts';
import type { Micros } from './events.ts';
import { MINUTE, minuteOf } from './minutes.ts';

export interface CandleSeriesOptions extends Pick<CandleBuilderOptions, 'closed' | 'unknown'> {
  readonly adapter: Pick<WsAdapter, 'candleClose' | 'channels'>;
  readonly graceMs: number;
}

export function createCandleSeries({ adapter, graceMs, closed, unknown }: CandleSeriesOptions) {
  const { candleClose } = adapter;
  const grace = graceMs * 1000;
  const contiguousIds = adapter.channels.trades === 'ids';
  const closer = createCandleCloser({ grace, closed: (candle) => closed(candle, true), unknown });
  const builder = createCandleBuilder({ grace, contiguousIds, closed, unknown });
  const venueClock = createVenueClock();
  /** With a flag: since when these candles are not received. */
  const cut = new Map<string, Micros>();
  let clock: Micros = 0;

  function flagged(candle: DecodedCandle): void {
    const since = cut.get(candle.venueSymbol);
    if (since !== undefined) {
      cut.delete(candle.venueSymbol);
      // A minute's flag comes in the next one.
      unknown(candle.venueSymbol, minuteOf(since) - MINUTE, candle.time - MINUTE);
    }
    if (candle.closed) closed(candle, true);
  }

  return {
    trade(trade: DecodedTrade, receivedAt: Micros): void {
      venueClock.note(trade.time, receivedAt);
      if (candleClose === 'trades') builder.trade(trade);
    },
    candle(candle: DecodedCandle): void {
      if (candleClose === 'next-open') closer.candle(candle);
      else flagged(candle);
    },
    /** What its candles are made of is not received from now on, until the next comes. */
    interrupted(venueSymbol: string): void {
      if (candleClose === 'next-open') closer.interrupted(venueSymbol);
      else if (candleClose === 'trades') builder.interrupted(venueSymbol);
      else if (!cut.has(venueSymbol)) cut.set(venueSymbol, clock);
    },
    /** Returns the exchange's clock, as far as it is known. */
    advance(now: Micros): Micros {
      clock = venueClock.read(now);
      closer.advance(clock);
      builder.advance(clock);
      return clock;
    },
  };
}

/**
 * The exchange's clock as its trades tell it: ours may be an hour off, and minutes would be closed
 * an hour early. The trades of the last minute or two are asked, in case ours is set.
 */
function createVenueClock() {
  let ahead = -Infinity;
  let aheadBefore = -Infinity;
  let since: Micros = 0;

  return {
    note(time: Micros, receivedAt: Micros): void {
      if (Math.abs(receivedAt - since) > MINUTE) {
        aheadBefore = ahead;
        ahead = -Infinity;
        since = receivedAt;
      }
      // What was longest on its way, such as a backlog, tells the least.
      ahead = Math.max(ahead, time - receivedAt);
    },
    read(now: Micros): Micros {
      const known = Math.max(ahead, aheadBefore);
      return known === -Infinity ? now : now + known;
    },
  };
}
