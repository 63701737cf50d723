/**
 * The REST answers that Binance's spot, USD-M futures and US exchanges have in common, read by the
 * normalizers of their streams. Paths, limits and weights are in the file of each.
 */
import type { BookSeed, DecodedBook, History } from '../adapter.ts';
import type { Instrument, Micros } from '../events.ts';
import {
  array,
  epochMicros,
  integer,
  levels,
  object,
  parseArray,
  parseObject,
  precisionOf,
  ruleOf,
  said,
} from '../wire.ts';
import { candle, trade } from './binance-streams.ts';

export interface Rows {
  readonly path: string;
  readonly maxRows: number;
  readonly weight: number;
}

/** GET depth: the snapshot that the changes continue. */
export function depthSeed(
  path: string,
  levelsFor: (depth: number) => number,
  weightOf: (limit: number) => number,
): BookSeed {
  return {
    levels: levelsFor,
    request: (symbol, depth) => {
      const limit = levelsFor(depth);
      return { path, query: { symbol, limit: String(limit) }, weight: weightOf(limit) };
    },
    parse: parseDepth,
  };
}

/** Time is the futures' `T`: as of when. `E`, when it was answered, may be later than a change. */
function parseDepth(body: string, venueSymbol: string): DecodedBook {
  const depth = parseObject<Depth>(body);
  const last = integer(depth.lastUpdateId, 'lastUpdateId');
  return {
    kind: 'book',
    venueSymbol,
    snapshot: true,
    first: last,
    last,
    time: depth.T === undefined ? null : epochMicros(depth.T, 'T'),
    bids: levels(depth.bids, 'bids'),
    asks: levels(depth.asks, 'asks'),
  };
}

/** GET klines. */
export function klines({ path, maxRows, weight }: Rows): NonNullable<History['candles']> {
  return {
    maxRows,
    request: (symbol, from, to) => {
      const range = { startTime: millis(from), endTime: millis(to), limit: String(maxRows) };
      return { path, query: { symbol, interval: '1m', ...range }, weight };
    },
    parse: (body, venueSymbol) =>
      parseArray(body).map((row) => {
        const [t, o, h, l, c, v, , , n] = array(row, 'kline');
        // A row does not tell; who asks knows which minutes are over.
        return candle(venueSymbol, { t, o, h, l, c, v, n, x: true });
      }),
    emptyMinutes: 'present',
  };
}

/** GET aggTrades, whose rows are named as in the stream; their ids are not those of trades. */
export function aggregateTrades(rows: Rows): NonNullable<History['trades']> {
  return tradesFrom(rows, (row, venueSymbol) => trade(venueSymbol, row, row.a));
}

/** GET historicalTrades, whose rows have long names. */
export function historicalTrades(rows: Rows): NonNullable<History['trades']> {
  return tradesFrom(rows, ({ id, price, qty, time, isBuyerMaker }, venueSymbol) =>
    trade(venueSymbol, { p: price, q: qty, T: time, m: isBuyerMaker }, id),
  );
}

function tradesFrom(
  { path, maxRows, weight }: Rows,
  read: (row: Readonly<Record<string, unknown>>, venueSymbol: string) => ReturnType<typeof trade>,
): NonNullable<History['trades']> {
  return {
    maxRows,
    request: (symbol, fromId) => ({
      path,
      query: { symbol, fromId, limit: String(maxRows) },
      weight,
    }),
    newest: (symbol) => ({ path, query: { symbol, limit: '1' }, weight }),
    parse: (body, venueSymbol) =>
      parseArray(body).map((row) => read(object(row, 'trade'), venueSymbol)),
  };
}

function millis(time: Micros): string {
  return String(Math.floor(time / 1000));
}

/** GET exchangeInfo; `nameOf` gives the unified name. */
export function parseMarkets(body: string, nameOf: (market: NamedMarket) => string): Instrument[] {
  const { symbols } = parseObject<{ readonly symbols?: unknown }>(body);
  return array(symbols, 'symbols').flatMap((item): Instrument[] => {
    const market: Market = object(item, 'symbol');
    return isNamed(market) ? [instrument(market, nameOf(market))] : [];
  });
}

function instrument(market: NamedMarket, symbol: string): Instrument {
  const listed = array(market.filters ?? [], 'filters').map((filter) => object(filter, 'filter'));
  const filters = new Map(listed.map((filter) => [filter.filterType, filter]));
  const lot = filters.get('LOT_SIZE');
  const tick = ruleOf(filters.get('PRICE_FILTER')?.tickSize, 'tickSize');
  const step = ruleOf(lot?.stepSize, 'stepSize');
  return {
    symbol,
    venueSymbol: market.symbol,
    base: market.baseAsset,
    quote: market.quoteAsset,
    status: statusOf(said(market.status)),
    minOrderSize: ruleOf(lot?.minQty, 'minQty'),
    maxOrderSize: ruleOf(lot?.maxQty, 'maxQty'),
    pricePrecision: precisionOf(tick),
    quantityPrecision: precisionOf(step),
  };
}

/** Contracts end. HALT, BREAK, CANCEL_ONLY, PENDING_TRADING and the like may come (back). */
function statusOf(status: string): Instrument['status'] {
  if (status === 'TRADING') return 'active';
  return /DELIVER|SETTL|^CLOSE$/.test(status) ? 'deprecated' : 'inactive';
}

function isNamed(market: Market): market is NamedMarket {
  const { symbol, baseAsset, quoteAsset, marginAsset = baseAsset } = market;
  return [symbol, baseAsset, quoteAsset, marginAsset].every(
    (name) => typeof name === 'string' && name !== '',
  );
}

interface Depth {
  readonly lastUpdateId?: unknown;
  readonly T?: unknown;
  readonly bids?: unknown;
  readonly asks?: unknown;
}

interface Market {
  readonly symbol?: unknown;
  readonly baseAsset?: unknown;
  readonly quoteAsset?: unknown;
  /** Of futures: what they are settled in. */
  readonly marginAsset?: unknown;
  readonly status?: unknown;
  readonly filters?: unknown;
}

interface NamedMarket extends Market {
  readonly symbol: string;
  readonly baseAsset: string;
  readonly quoteAsset: string;
  readonly marginAsset?: string;
}
