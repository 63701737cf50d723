/**
 * The candles of a running source: closed by the clock, then compared with the exchange's history,
 * which also gives the minutes that were not seen whole.
 */
import type { Logger } from '../log.ts';
import type { DecodedCandle, WsAdapter } from './adapter.ts';
import { createCandleAudit } from './candle-audit.ts';
import { createCandleSeries } from './candle-series.ts';
import type { Micros } from './events.ts';
import { MINUTE, minuteOf } from './minutes.ts';
import type { Rest } from './rest.ts';

export interface LiveCandlesOptions {
  readonly adapter: Pick<WsAdapter, 'candleClose' | 'channels' | 'history'>;
  readonly rest: Pick<Rest, 'get'>;
  readonly graceMs: number;
  /** A closed candle, or a correction of one. */
  readonly emit: (candle: DecodedCandle) => void;
  /** Wall clock. */
  readonly now: () => Micros;
  readonly logger: Logger;
}

const TICK_MS = 250;
const RECENT = 10 * MINUTE;

export type LiveCandles = ReturnType<typeof createLiveCandles>;

export function createLiveCandles(options: LiveCandlesOptions) {
  const { adapter, rest, graceMs, emit, now, logger } = options;
  const flagged = adapter.candleClose === 'flag';
  const history = adapter.history?.candles;
  let clock: Micros = 0;
  const audit = history && createCandleAudit({ history, rest, emit, clock: () => clock, logger });
  const series = createCandleSeries({ adapter, graceMs, closed, unknown });
  clock = series.advance(now());
  let minute = minuteOf(clock);

  function closed(candle: DecodedCandle, whole: boolean): void {
    if (!whole) {
      unknown(candle.venueSymbol, candle.time, candle.time);
      return;
    }
    emit(candle);
    // What comes as history on subscribing was closed long ago, and is the exchange's own.
    if (!flagged && clock - candle.time < RECENT) audit?.verify(candle);
  }

  function unknown(venueSymbol: string, from: Micros, to: Micros): void {
    if (audit) audit.want(venueSymbol, from, to);
    else logger.warn({ venueSymbol, from, to }, 'candles missing: the exchange has no history');
  }

  function tick(venueSymbols: readonly string[]): void {
    clock = series.advance(now());
    const begun = minuteOf(clock);
    if (begun <= minute) return;
    if (!flagged && history?.emptyMinutes === 'present') {
      // A minute without trades is a candle too, which nothing but the history shows.
      for (const venueSymbol of venueSymbols) audit?.want(venueSymbol, minute, begun - MINUTE);
    }
    minute = begun;
  }

  return {
    trade: series.trade,
    candle: series.candle,
    interrupted: series.interrupted,
    /** Takes the minutes since this one from the history, until now. */
    storedUntil(venueSymbol: string, time: Micros): void {
      if (time + MINUTE < minute) unknown(venueSymbol, time + MINUTE, minute - MINUTE);
    },
    /** Closes and compares candles of these markets until `signal` aborts. Never rejects. */
    async run(venueSymbols: readonly string[], signal: AbortSignal): Promise<void> {
      if (venueSymbols.length === 0) return;
      const ticking = setInterval(() => tick(venueSymbols), TICK_MS);
      await audit?.run(signal);
      if (!audit && !signal.aborted) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      }
      clearInterval(ticking);
    },
  };
}
