/**
 * The REST answers of Coinbase Exchange; its trades are those of the stream, without the product. The
 * evidence is in coinbase-exchange.ts.
 */
import type { DecodedCandle, DecodedTrade, History, MarketList } from '../adapter.ts';
import type { Instrument } from '../events.ts';
import {
  array,
  epochMicros,
  integerText,
  isoText,
  object,
  parseArray,
  parseDigits,
  plainDecimal,
  precisionOf,
  type Row,
  ruleOf,
  shortText,
} from '../wire.ts';
import { statusOf, tradeOf } from './coinbase.ts';

export const markets: MarketList = {
  requests: [{ path: '/products', query: {}, weight: 1 }],
  parse: (body) => parseArray(body).flatMap((product) => instrument(object(product, 'product'))),
};

const TRADES_PER_ANSWER = 1000;

export const history: History = {
  candles: {
    maxRows: 300,
    request: (venueSymbol, from, to) => ({
      path: `/products/${venueSymbol}/candles`,
      query: { granularity: '60', start: isoText(from), end: isoText(to) },
      weight: 1,
    }),
    parse: (body, venueSymbol) =>
      array(parseDigits(body), 'candles')
        .map((row) => candle(array(row, 'candle'), venueSymbol))
        .toReversed(),
    emptyMinutes: 'absent',
  },
  trades: {
    maxRows: TRADES_PER_ANSWER,
    // `before` would give the newest ones, however far from the id; `after` the ones below it.
    request: (venueSymbol, fromId) => ({
      path: `/products/${venueSymbol}/trades`,
      query: {
        after: String(BigInt(fromId) + BigInt(TRADES_PER_ANSWER)),
        limit: String(TRADES_PER_ANSWER),
      },
      weight: 1,
    }),
    newest: (venueSymbol) => ({
      path: `/products/${venueSymbol}/trades`,
      query: { limit: '1' },
      weight: 1,
    }),
    parse: (body, venueSymbol) =>
      parseArray(body)
        .map((row) => trade(object(row, 'trade'), venueSymbol))
        .toReversed(),
  },
};

export function trade(row: Row, product: unknown): DecodedTrade {
  return tradeOf(row, product, { buy: 'sell', sell: 'buy' });
}

/** `[time, low, high, open, close, volume]` */
function candle(row: readonly unknown[], venueSymbol: string): DecodedCandle {
  return {
    kind: 'candle',
    venueSymbol,
    time: epochMicros(integerText(row[0], 'time') * 1000, 'time'),
    open: plainDecimal(row[3], 'open'),
    high: plainDecimal(row[2], 'high'),
    low: plainDecimal(row[1], 'low'),
    close: plainDecimal(row[4], 'close'),
    volume: plainDecimal(row[5], 'volume'),
    trades: null,
    closed: true,
  };
}

function instrument(product: Row): Instrument[] {
  const { id, base_currency: base, quote_currency: quote, status } = product;
  if (typeof base !== 'string' || typeof quote !== 'string') return [];
  return [
    {
      symbol: `${base}/${quote}`,
      venueSymbol: shortText(id, 'id'),
      base,
      quote,
      status: statusOf(status, product.trading_disabled === true),
      // Sizes had limits until 2022; today's is `min_market_funds`, in the other currency.
      minOrderSize: ruleOf(product.base_min_size, 'base_min_size'),
      maxOrderSize: ruleOf(product.base_max_size, 'base_max_size'),
      pricePrecision: precisionOf(ruleOf(product.quote_increment, 'quote_increment')),
      quantityPrecision: precisionOf(ruleOf(product.base_increment, 'base_increment')),
    },
  ];
}
