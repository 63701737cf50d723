/**
 * The vocabulary of the daemon: what an exchange said, normalized. Types only.
 *
 * Every event has two clocks: `time`, the exchange's, and `receivedAt`, ours. Field names are the
 * column names of the schema document.
 */

/** A decimal number as the exchange wrote it: `61837.63000000`. Never a float, never reformatted. */
export type Decimal = string;

/** Microseconds since the Unix epoch: the precision of TIMESTAMPTZ, exact in a double until 2255. */
export type Micros = number;

/** Unified name of a market, `BTC/USDT` or `BTC/USDT:USDT`; the exchange's own is its venue symbol. */
export type MarketSymbol = string;

/** One level of a book: price, amount. */
export type Level = readonly [price: Decimal, amount: Decimal];

export type Channel = 'trades' | 'candles' | 'order_book';

/** Whose order took liquidity. */
export type Side = 'buy' | 'sell';

interface Stamped {
  readonly exchange: string;
  readonly symbol: MarketSymbol;
  readonly time: Micros;
  readonly receivedAt: Micros;
}

export interface Trade extends Stamped {
  readonly type: 'trade';
  readonly tradeId: string;
  readonly side: Side;
  readonly price: Decimal;
  readonly quantity: Decimal;
}

/** A closed candle of one minute; `time` is when the minute began. */
export interface Candle extends Stamped {
  readonly type: 'candle';
  readonly open: Decimal;
  readonly high: Decimal;
  readonly low: Decimal;
  readonly close: Decimal;
  readonly volume: Decimal;
  /** Number of trades, null where the exchange does not say. */
  readonly trades: number | null;
}

/** The best levels of a book that is in sync, best first. */
export interface OrderBookSnapshot extends Stamped {
  readonly type: 'order_book';
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
}

export type MarketEvent = Trade | Candle | OrderBookSnapshot;

/** Ids of trades that are missing, `next` to `to`, both included; `next` moves as they are refilled. */
export interface OpenGap {
  readonly symbol: MarketSymbol;
  readonly next: bigint;
  readonly to: bigint;
}

/**
 * A market as the exchange lists it, a row of `symbols`. The schema document gives no more than
 * three states: active (trading), inactive (halted, may come back), deprecated (delisted).
 */
export interface Instrument {
  readonly symbol: MarketSymbol;
  readonly venueSymbol: string;
  readonly base: string;
  readonly quote: string;
  readonly status: 'active' | 'inactive' | 'deprecated';
  readonly minOrderSize: Decimal | null;
  readonly maxOrderSize: Decimal | null;
  /** Digits after the decimal point. */
  readonly pricePrecision: number | null;
  readonly quantityPrecision: number | null;
}
