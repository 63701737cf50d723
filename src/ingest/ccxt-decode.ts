/**
 * What ccxt answers, in our terms. Pure. Its values are untrusted like a frame's: each function throws
 * DecodeError, and none lets anything through that is not a plain decimal.
 */
import { DecodeError } from '../errors.ts';
import type { DecodedCandle, DecodedTrade } from './adapter.ts';
import type { Decimal, Instrument, Level, Micros } from './events.ts';
import {
  array,
  compareDecimals,
  epochMicros,
  isZero,
  object,
  plainDecimal,
  positiveDecimal,
  precisionOf,
  shortText,
  side,
} from './wire.ts';

/** A text or a float of ccxt's as plain digits. Throws `bad_decimal`. */
function decimalOf(value: unknown, field: string): Decimal {
  return plainDecimal(typeof value === 'number' ? String(value) : value, field);
}

function positiveOf(value: unknown, field: string): Decimal {
  return positiveDecimal(decimalOf(value, field), field);
}

/** The exchange's id of a trade; some have none. */
export function tradeIdOf(value: unknown): string | undefined {
  const { id } = object(value, 'trade');
  if (id === undefined || id === null) return undefined;
  return shortText(typeof id === 'number' ? String(id) : id, 'id');
}

/** `only`: the symbol where ccxt was asked for one. `nth`: counts equal trades of an answer. */
export function tradeOf(
  value: unknown,
  only: string | undefined,
  nth: (key: string) => number,
): DecodedTrade {
  const trade = object(value, 'trade');
  const price = positiveOf(trade['price'], 'price');
  const quantity = positiveOf(trade['amount'], 'amount');
  const time = epochMicros(trade['timestamp'], 'timestamp');
  const taker = side(trade['side'], 'side', { buy: 'buy', sell: 'sell' });
  // Some exchanges number no trades: what is known of one has to tell it from the others.
  const key = `${time / 1000}-${taker}-${price}-${quantity}`;
  return {
    kind: 'trade',
    venueSymbol: shortText(trade['symbol'] ?? only, 'symbol'),
    tradeId: tradeIdOf(trade) ?? `${key}-${nth(key)}`,
    side: taker,
    price,
    quantity,
    time,
  };
}

/** `[open time, open, high, low, close, volume]` */
export function candleOf(value: unknown, symbol: string): DecodedCandle {
  const row = array(value, 'candle');
  return {
    kind: 'candle',
    venueSymbol: symbol,
    time: epochMicros(row[0], 'time'),
    open: positiveOf(row[1], 'open'),
    high: positiveOf(row[2], 'high'),
    low: positiveOf(row[3], 'low'),
    close: positiveOf(row[4], 'close'),
    volume: decimalOf(row[5], 'volume'),
    trades: null,
    // ccxt does not say.
    closed: false,
  };
}

export interface CcxtBook {
  readonly symbol: string;
  /** Null where the exchange does not say. */
  readonly time: Micros | null;
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
  readonly crossed: boolean;
}

export function bookOf(value: unknown, only: string | undefined, depth: number): CcxtBook {
  const book = object(value, 'book');
  const { timestamp } = book;
  const bids = levelsOf(book['bids'], 'bids', depth);
  const asks = levelsOf(book['asks'], 'asks', depth);
  const [bid] = bids[0] ?? [];
  const [ask] = asks[0] ?? [];
  return {
    symbol: shortText(book['symbol'] ?? only, 'symbol'),
    time: timestamp === undefined ? null : epochMicros(timestamp, 'timestamp'),
    bids,
    asks,
    crossed: bid !== undefined && ask !== undefined && compareDecimals(bid, ask) >= 0,
  };
}

function levelsOf(value: unknown, field: string, depth: number): Level[] {
  return array(value, field)
    .slice(0, depth)
    .map((row): Level => {
      const [price, amount] = array(row, field);
      return [positiveOf(price, field), decimalOf(amount, field)];
    })
    .filter(([, amount]) => !isZero(amount));
}

/** ccxt's precision modes. */
const DECIMAL_PLACES = 2;
const TICK_SIZE = 4;

/** A market of `loadMarkets`; none if it has no name that is ours. */
export function instrumentOf(value: unknown, precisionMode: number): Instrument[] {
  const { symbol, id, base, quote, active, limits, precision } = object(value, 'market');
  if (typeof symbol !== 'string' || typeof base !== 'string' || typeof quote !== 'string')
    return [];
  const { amount } = object(limits ?? {}, 'limits');
  const { min, max } = object(amount ?? {}, 'amount');
  const steps = object(precision ?? {}, 'precision');
  return [
    {
      symbol,
      venueSymbol: typeof id === 'string' ? id : symbol,
      base,
      quote,
      status: active === false ? 'inactive' : 'active',
      minOrderSize: rule(min),
      maxOrderSize: rule(max),
      pricePrecision: digits(steps['price'], precisionMode),
      quantityPrecision: digits(steps['amount'], precisionMode),
    },
  ];
}

/** ccxt writes 0 for some rules that an exchange does not have. */
function rule(value: unknown): Decimal | null {
  if (value === undefined || value === null) return null;
  try {
    return positiveOf(value, 'rule');
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

function digits(value: unknown, mode: number): number | null {
  if (mode === TICK_SIZE) {
    const step = rule(value);
    return precisionOf(step);
  }
  const places = Number(value ?? NaN);
  return mode === DECIMAL_PLACES && Number.isSafeInteger(places) && places >= 0 ? places : null;
}
