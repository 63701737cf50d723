/**
 * Candles of one minute, made of the trades of exchanges that send none.
 *
 *   open --grace after its end--> closed, whole or in part
 *
 * A candle is whole when no trade of its minute can be missing: an earlier minute's trade was seen,
 * and since then there was neither an interruption nor, where ids count up by one, a hole. What may
 * be missing is said as soon as it is known, as a range of minutes. The clock is an argument.
 */
import { countedId, follows } from '../counted-id.ts';
import type { DecodedCandle, DecodedTrade } from './adapter.ts';
import type { Decimal, Micros } from './events.ts';
import { MINUTE, minuteOf } from './minutes.ts';
import { compareDecimals } from './wire.ts';

export interface CandleBuilderOptions {
  /** Trades of a minute may come this long after its end. */
  readonly grace: Micros;
  /** Ids count up by one per market: they show holes, and the order of trades. */
  readonly contiguousIds: boolean;
  readonly closed: (candle: DecodedCandle, whole: boolean) => void;
  /** Trades of these minutes, both included, may be missing. */
  readonly unknown: (venueSymbol: string, from: Micros, to: Micros) => void;
}

interface Market {
  /** Minutes that are not over: one, and within the grace two. */
  readonly open: Map<Micros, Building>;
  /** By id where those count up, else the last that came. */
  newest: DecodedTrade | undefined;
  interrupted: boolean;
  /** Up to this minute, included, trades may be missing. */
  partialTo: Micros;
  /** The newest minute that was closed. */
  closedTo: Micros;
}

interface Building {
  readonly ids: Set<string>;
  first: DecodedTrade;
  last: DecodedTrade;
  high: Decimal;
  low: Decimal;
  readonly volume: Sum;
}

export function createCandleBuilder(options: CandleBuilderOptions) {
  const { contiguousIds, closed, unknown } = options;
  const markets = new Map<string, Market>();

  /** Whether `a` was made before `b`; of trades that cannot be told apart, the one that came first. */
  const precedes = contiguousIds
    ? (a: DecodedTrade, b: DecodedTrade) => countedId(a.tradeId) < countedId(b.tradeId)
    : (a: DecodedTrade, b: DecodedTrade) => a.time < b.time;

  function marketOf(venueSymbol: string): Market {
    let market = markets.get(venueSymbol);
    if (!market) {
      market = {
        open: new Map(),
        newest: undefined,
        interrupted: true,
        partialTo: -Infinity,
        closedTo: -Infinity,
      };
      markets.set(venueSymbol, market);
    }
    return market;
  }

  function lookForHole(market: Market, trade: DecodedTrade): void {
    const { newest, interrupted } = market;
    market.interrupted = false;
    const hole = contiguousIds
      ? !newest ||
        (precedes(newest, trade) && !follows(countedId(trade.tradeId), countedId(newest.tradeId)))
      : interrupted;
    if (!newest || !precedes(trade, newest)) market.newest = trade;
    if (!hole) return;
    const from = minuteOf(Math.min(newest?.time ?? trade.time, trade.time));
    const to = minuteOf(trade.time);
    market.partialTo = Math.max(market.partialTo, to);
    unknown(trade.venueSymbol, from, to);
  }

  function add(market: Market, trade: DecodedTrade): void {
    const minute = minuteOf(trade.time);
    const building = market.open.get(minute);
    if (!building) {
      // Too late, or known already: the exchange's history tells.
      if (minute <= market.closedTo) unknown(trade.venueSymbol, minute, minute);
      else market.open.set(minute, begin(trade));
      return;
    }
    if (building.ids.has(trade.tradeId)) return;
    building.ids.add(trade.tradeId);
    if (precedes(trade, building.first)) building.first = trade;
    if (!precedes(trade, building.last)) building.last = trade;
    if (compareDecimals(trade.price, building.high) > 0) building.high = trade.price;
    if (compareDecimals(trade.price, building.low) < 0) building.low = trade.price;
    building.volume.add(trade.quantity);
  }

  return {
    trade(trade: DecodedTrade): void {
      const market = marketOf(trade.venueSymbol);
      lookForHole(market, trade);
      add(market, trade);
    },
    /** The trades of this market are not received from now on. */
    interrupted(venueSymbol: string): void {
      marketOf(venueSymbol).interrupted = true;
    },
    advance(clock: Micros): void {
      for (const [venueSymbol, market] of markets) {
        for (const [minute, building] of market.open) {
          if (clock < minute + MINUTE + options.grace) continue;
          market.open.delete(minute);
          market.closedTo = Math.max(market.closedTo, minute);
          const whole = minute > market.partialTo && !market.interrupted;
          closed(candleOf(venueSymbol, minute, building), whole);
        }
      }
    },
  };
}

function begin(trade: DecodedTrade): Building {
  const { tradeId, price, quantity } = trade;
  const volume = createSum();
  volume.add(quantity);
  return { ids: new Set([tradeId]), first: trade, last: trade, high: price, low: price, volume };
}

function candleOf(venueSymbol: string, time: Micros, building: Building): DecodedCandle {
  const { first, last, high, low, volume, ids } = building;
  return {
    kind: 'candle',
    venueSymbol,
    time,
    open: first.price,
    high,
    low,
    close: last.price,
    volume: volume.text(),
    trades: ids.size,
    closed: true,
  };
}

type Sum = ReturnType<typeof createSum>;

/** An exact sum of decimals, with as many digits after the point as the longest of them. */
export function createSum() {
  let units = 0n;
  let scale = 0;
  return {
    add(value: Decimal): void {
      const [whole = '', fraction = ''] = value.split('.');
      if (fraction.length > scale) {
        units *= 10n ** BigInt(fraction.length - scale);
        scale = fraction.length;
      }
      units += BigInt(whole + fraction.padEnd(scale, '0'));
    },
    text(): Decimal {
      const digits = String(units).padStart(scale + 1, '0');
      const point = digits.length - scale;
      return scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
    },
  };
}
