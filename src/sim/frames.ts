/** The exchange's JSON: WebSocket payloads and REST rows. The only place that writes numbers. */
import type { SimCandle } from './candles.ts';
import {
  formatPrice,
  formatQuantity,
  formatQuote,
  formatUnits,
  type SimInstrument,
} from './instrument.ts';
import type { EmittedAggregate, EmittedTrade, SimMarket } from './market.ts';
import type { BookDiff, BookSnapshot, SimLevel } from './order-book.ts';

// Templates, not JSON.stringify: at 50,000 trades a second this is what the simulator does all day.
// Nothing in them needs escaping.

export function tradeFrame(trade: EmittedTrade, instrument: SimInstrument, now: number): string {
  const price = formatPrice(trade.ticks, instrument);
  const quantity = formatQuantity(trade.lots, instrument);
  return `{"e":"trade","E":${now},"s":"${instrument.venueSymbol}","t":${trade.id},"p":"${price}","q":"${quantity}","T":${trade.time},"m":${trade.takerSells},"M":true}`;
}

export function aggregateFrame(
  trade: EmittedAggregate,
  instrument: SimInstrument,
  now: number,
): string {
  const fields = aggregateRow(trade, instrument).slice(1);
  return `{"e":"aggTrade","E":${now},"s":"${instrument.venueSymbol}",${fields}`;
}

export function klineFrame(
  candle: Readonly<SimCandle>,
  instrument: SimInstrument,
  now: number,
  closed: boolean,
): string {
  const t = candleText(candle, instrument);
  const s = instrument.venueSymbol;
  return `{"e":"kline","E":${now},"s":"${s}","k":{"t":${candle.openTime},"T":${candle.closeTime},"s":"${s}","i":"1m","f":${candle.firstId},"L":${candle.lastId},"o":"${t.open}","c":"${t.close}","h":"${t.high}","l":"${t.low}","v":"${t.volume}","n":${candle.trades},"x":${closed},"q":"${t.quote}","V":"${t.takerBuyVolume}","Q":"${t.takerBuyQuote}","B":"0"}}`;
}

export function depthFrame(diff: BookDiff, instrument: SimInstrument, now: number): string {
  const bids = levelsText(diff.bids, instrument);
  const asks = levelsText(diff.asks, instrument);
  return `{"e":"depthUpdate","E":${now},"s":"${instrument.venueSymbol}","U":${diff.firstUpdateId},"u":${diff.lastUpdateId},"b":${bids},"a":${asks}}`;
}

export function depthBody(snapshot: BookSnapshot, instrument: SimInstrument): string {
  const bids = levelsText(snapshot.bids, instrument);
  const asks = levelsText(snapshot.asks, instrument);
  return `{"lastUpdateId":${snapshot.lastUpdateId},"bids":${bids},"asks":${asks}}`;
}

export function tradeRow(trade: EmittedTrade, instrument: SimInstrument): string {
  const price = formatPrice(trade.ticks, instrument);
  const quantity = formatQuantity(trade.lots, instrument);
  const quote = formatQuote(BigInt(trade.ticks) * BigInt(trade.lots), instrument);
  return `{"id":${trade.id},"price":"${price}","qty":"${quantity}","quoteQty":"${quote}","time":${trade.time},"isBuyerMaker":${trade.takerSells},"isBestMatch":true}`;
}

export function aggregateRow(trade: EmittedAggregate, instrument: SimInstrument): string {
  const price = formatPrice(trade.ticks, instrument);
  const quantity = formatQuantity(trade.lots, instrument);
  return `{"a":${trade.aggregateId},"p":"${price}","q":"${quantity}","f":${trade.firstId},"l":${trade.lastId},"T":${trade.time},"m":${trade.takerSells},"M":true}`;
}

export function klineRow(candle: Readonly<SimCandle>, instrument: SimInstrument): string {
  const t = candleText(candle, instrument);
  return `[${candle.openTime},"${t.open}","${t.high}","${t.low}","${t.close}","${t.volume}",${candle.closeTime},"${t.quote}",${candle.trades},"${t.takerBuyVolume}","${t.takerBuyQuote}","0"]`;
}

/** The numbers of a candle as they go on the wire. */
export function candleText(candle: Readonly<SimCandle>, instrument: SimInstrument) {
  return {
    open: formatPrice(candle.open, instrument),
    high: formatPrice(candle.high, instrument),
    low: formatPrice(candle.low, instrument),
    close: formatPrice(candle.close, instrument),
    volume: formatQuantity(candle.lots, instrument),
    takerBuyVolume: formatQuantity(candle.takerBuyLots, instrument),
    quote: formatQuote(candle.quote, instrument),
    takerBuyQuote: formatQuote(candle.takerBuyQuote, instrument),
  };
}

export function exchangeInfoBody(markets: Iterable<SimMarket>, now: number): string {
  return JSON.stringify({
    timezone: 'UTC',
    serverTime: now,
    rateLimits: [
      { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: 6000 },
      { rateLimitType: 'RAW_REQUESTS', interval: 'MINUTE', intervalNum: 5, limit: 300_000 },
    ],
    exchangeFilters: [],
    symbols: Array.from(markets, ({ instrument, status }) => symbolInfo(instrument, status)),
  });
}

function symbolInfo(instrument: SimInstrument, status: string) {
  const tick = formatUnits(1, instrument.priceDecimals);
  const step = formatUnits(1, instrument.lotDecimals);
  return {
    symbol: instrument.venueSymbol,
    status,
    baseAsset: instrument.base,
    baseAssetPrecision: 8,
    quoteAsset: instrument.quote,
    quotePrecision: 8,
    quoteAssetPrecision: 8,
    orderTypes: ['LIMIT', 'LIMIT_MAKER', 'MARKET'],
    isSpotTradingAllowed: true,
    filters: [
      {
        filterType: 'PRICE_FILTER',
        minPrice: tick,
        maxPrice: formatPrice(instrument.startTicks * 100, instrument),
        tickSize: tick,
      },
      { filterType: 'LOT_SIZE', minQty: step, maxQty: '900000.00000000', stepSize: step },
      {
        filterType: 'MARKET_LOT_SIZE',
        minQty: '0.00000000',
        maxQty: '9000.00000000',
        stepSize: '0.00000000',
      },
      { filterType: 'NOTIONAL', minNotional: '5.00000000', applyMinToMarket: true },
    ],
    permissionSets: [['SPOT']],
  };
}

function levelsText(levels: readonly SimLevel[], instrument: SimInstrument): string {
  const rows = levels.map(
    ([ticks, lots]) =>
      `["${formatPrice(ticks, instrument)}","${formatQuantity(lots, instrument)}"]`,
  );
  return `[${rows.join(',')}]`;
}
