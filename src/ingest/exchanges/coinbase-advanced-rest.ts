/** The REST answers of Coinbase Advanced Trade. The evidence is in coinbase-advanced.ts. */
import type { DecodedCandle, History, MarketList } from '../adapter.ts';
import type { Instrument } from '../events.ts';
import {
  array,
  decimal,
  epochMicros,
  integerText,
  object,
  parseObject,
  positiveDecimal,
  precisionOf,
  type Row,
  ruleOf,
  shortText,
} from '../wire.ts';
import { statusOf } from './coinbase.ts';

const MARKETS = '/api/v3/brokerage/market/products';

export const markets: MarketList = {
  requests: [{ path: MARKETS, query: {}, weight: 1 }],
  parse: (body) =>
    array(parseObject<{ products?: unknown }>(body).products, 'products').flatMap((product) =>
      instrument(object(product, 'product')),
    ),
};

export const history: History = {
  candles: {
    maxRows: 300,
    request: (venueSymbol, from, to) => ({
      path: `${MARKETS}/${venueSymbol}/candles`,
      query: {
        granularity: 'ONE_MINUTE',
        start: String(from / 1_000_000),
        end: String(to / 1_000_000),
      },
      weight: 1,
    }),
    parse: (body, venueSymbol) =>
      array(parseObject<{ candles?: unknown }>(body).candles, 'candles')
        .map((row) => candle(object(row, 'candle'), venueSymbol))
        .toReversed(),
    // Not documented; the Exchange's REST, of the same engine, leaves them out.
    emptyMinutes: 'absent',
  },
};

function candle(row: Row, venueSymbol: string): DecodedCandle {
  return {
    kind: 'candle',
    venueSymbol,
    time: epochMicros(integerText(row.start, 'start') * 1000, 'start'),
    open: positiveDecimal(row.open, 'open'),
    high: positiveDecimal(row.high, 'high'),
    low: positiveDecimal(row.low, 'low'),
    close: positiveDecimal(row.close, 'close'),
    volume: decimal(row.volume, 'volume'),
    trades: null,
    closed: true,
  };
}

/**
 * Spot only. An alias (BTC-USDC of BTC-USD) has no stream of its own, its data come under the name
 * of the other: it is left out, so that who asks for it is told the other's name.
 */
function instrument(product: Row): Instrument[] {
  const { product_id: id, base_currency_id: base, quote_currency_id: quote, status } = product;
  if (product.product_type !== 'SPOT' || product.alias) return [];
  if (typeof base !== 'string' || typeof quote !== 'string') return [];
  const disabled = Boolean(product.is_disabled || product.trading_disabled);
  return [
    {
      symbol: `${base}/${quote}`,
      venueSymbol: shortText(id, 'product_id'),
      base,
      quote,
      status: statusOf(status, disabled),
      minOrderSize: ruleOf(product.base_min_size, 'base_min_size'),
      maxOrderSize: ruleOf(product.base_max_size, 'base_max_size'),
      pricePrecision: precisionOf(ruleOf(product.price_increment, 'price_increment')),
      quantityPrecision: precisionOf(ruleOf(product.base_increment, 'base_increment')),
    },
  ];
}
