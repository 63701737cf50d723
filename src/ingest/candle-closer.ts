/**
 * Closed candles of exchanges that send each state of a candle and do not say which is the last.
 *
 *   open --a later one opens, or grace after its end--> closed
 *        --interruption, then a later one------------> unknown: its last state was not seen
 *
 * The clock is an argument.
 */
import type { DecodedCandle } from './adapter.ts';
import type { Micros } from './events.ts';
import { MINUTE } from './minutes.ts';

export interface CandleCloserOptions {
  /** A candle is closed this long after its end if no other opens before. */
  readonly grace: Micros;
  readonly closed: (candle: DecodedCandle) => void;
  /** These minutes, both included, were not seen to their ends. */
  readonly unknown: (venueSymbol: string, from: Micros, to: Micros) => void;
}

interface Newest {
  readonly candle: DecodedCandle;
  closed: boolean;
  interrupted: boolean;
}

export function createCandleCloser({ grace, closed, unknown }: CandleCloserOptions) {
  const newest = new Map<string, Newest>();

  function follow(known: Newest, next: DecodedCandle): void {
    if (known.interrupted) {
      const from = known.candle.time + (known.closed ? MINUTE : 0);
      if (from < next.time) unknown(next.venueSymbol, from, next.time - MINUTE);
    } else if (!known.closed) {
      closed({ ...known.candle, closed: true });
    }
  }

  return {
    /** A state of a candle. */
    candle(candle: DecodedCandle): void {
      const known = newest.get(candle.venueSymbol);
      if (known && candle.time < known.candle.time) {
        // The exchange's last word on a minute that is over, or its history on subscribing.
        closed({ ...candle, closed: true });
        return;
      }
      if (known && candle.time > known.candle.time) follow(known, candle);
      newest.set(candle.venueSymbol, { candle, closed: false, interrupted: false });
    },
    /** The candles of this market are not received from now on. */
    interrupted(venueSymbol: string): void {
      const known = newest.get(venueSymbol);
      if (known) known.interrupted = true;
    },
    advance(clock: Micros): void {
      for (const known of newest.values()) {
        if (known.closed || known.interrupted) continue;
        if (clock < known.candle.time + MINUTE + grace) continue;
        known.closed = true;
        closed({ ...known.candle, closed: true });
      }
    },
  };
}
