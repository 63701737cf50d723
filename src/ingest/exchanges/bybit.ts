/**
 * Bybit v5, public streams. https://bybit-exchange.github.io/docs/v5/ws/connect
 * One implementation for its categories; the evidence is in the file of each.
 */
import type { DecodedCandle, RestRequest, WsAdapter } from '../adapter.ts';
import type { Instrument, Micros } from '../events.ts';
import {
  array,
  integerText,
  object,
  parseObject,
  precisionOf,
  refusedAnswer,
  ruleOf,
  shortText,
} from '../wire.ts';
import {
  bookSequence,
  candle,
  decodeFrame,
  type Members,
  requests,
  type State,
} from './bybit-streams.ts';

/** What is different between the categories. */
export interface Category extends Pick<WsAdapter, 'id' | 'venueSymbol'> {
  readonly category: 'spot' | 'linear';
  readonly streamsPerFrame: number;
  /** Members of `lotSizeFilter`. */
  readonly quantityStep: string;
  readonly maxOrderSize: string;
  /** The unified symbol. */
  nameOf(base: string, quote: string, venueSymbol: string): string;
}

export function createBybit(venue: Category): WsAdapter<State> {
  const { id, category, streamsPerFrame, venueSymbol } = venue;
  return {
    id,
    urls: { ws: 'wss://stream.bybit.com', rest: 'https://api.bybit.com' },
    // Trades have no order that would show a gap.
    channels: { trades: 'none', candles: 'none', order_book: 'sequence' },
    limits: {
      // 21,000 characters of topics, and an order book's may have 40.
      streamsPerConnection: 500,
      messagesPerSecond: 10,
      streamsPerFrame,
      connectionsPer5Minutes: 500,
      // None is documented.
      connectionMaxAgeMs: 24 * 3_600_000,
      restWeightPerMinute: 7200,
    },

    venueSymbol,
    endpoints: (streams) => [{ path: `/v5/public/${category}`, streams }],
    open: ({ bookDepth }) => ({ bookDepth, nextRequestId: 1 }),
    subscribe: (streams, state) => requests('subscribe', streams, state, streamsPerFrame),
    unsubscribe: (streams, state) =>
      requests('unsubscribe', streams, state, streamsPerFrame).map(({ text }) => text),
    decode: decodeFrame,
    heartbeat: { everyMs: 20_000, text: '{"op":"ping"}' },
    candleClose: 'flag',
    book: { sequence: bookSequence },
    markets: {
      requests: [marketsPage(category)],
      parse: (body) => list(body).map((item) => instrument(object(item, 'list'), venue)),
      next(body) {
        // Of linear, empty on the last page; spot has one page and none.
        const { nextPageCursor: cursor } = result(body);
        return typeof cursor === 'string' && cursor !== '' ? marketsPage(category, cursor) : null;
      },
    },
    history: {
      candles: {
        maxRows: 1000,
        request: (symbol, from, to) => ({
          path: '/v5/market/kline',
          query: {
            category,
            symbol,
            interval: '1',
            start: millis(from),
            // Whether `end` itself belongs to the answer is not documented.
            end: millis(to + 59_999_000),
            limit: '1000',
          },
          weight: 1,
        }),
        parse: (body, symbol) =>
          list(body)
            .map((row) => historyCandle(row, symbol))
            .toReversed(),
        emptyMinutes: 'present',
      },
    },
  };
}

/** Newest first. A row does not tell whether it is closed; who asks knows which minutes are over. */
function historyCandle(row: unknown, venueSymbol: string): DecodedCandle {
  const [start, open, high, low, close, volume] = array(row, 'list');
  const time = integerText(start, 'start');
  return candle(venueSymbol, { start: time, open, high, low, close, volume, confirm: true });
}

function marketsPage(category: string, cursor?: string): RestRequest {
  const query = { category, limit: '1000', ...(cursor !== undefined && { cursor }) };
  return { path: '/v5/market/instruments-info', query, weight: 1 };
}

function list(body: string): readonly unknown[] {
  return array(result(body).list, 'list');
}

function result(body: string): Members {
  const { retCode, retMsg, result: answered } = parseObject<Members>(body);
  if (retCode !== 0) throw refusedAnswer([retCode, retMsg]);
  return object(answered, 'result');
}

function instrument(item: Members, { quantityStep, maxOrderSize, nameOf }: Category): Instrument {
  const venueSymbol = shortText(item.symbol, 'symbol');
  const base = shortText(item.baseCoin, 'baseCoin');
  const quote = shortText(item.quoteCoin, 'quoteCoin');
  const lot = object(item.lotSizeFilter, 'lotSizeFilter');
  const { tickSize } = object(item.priceFilter, 'priceFilter');
  return {
    symbol: nameOf(base, quote, venueSymbol),
    venueSymbol,
    base,
    quote,
    status: statusOf(item.status),
    minOrderSize: ruleOf(lot.minOrderQty, 'minOrderQty'),
    maxOrderSize: ruleOf(lot[maxOrderSize], maxOrderSize),
    pricePrecision: precisionOf(ruleOf(tickSize, 'tickSize')),
    quantityPrecision: precisionOf(ruleOf(lot[quantityStep], quantityStep)),
  };
}

/** PreLaunch trades soon, Delivering and Closed never again. */
function statusOf(status: unknown): Instrument['status'] {
  if (status === 'Trading') return 'active';
  return status === 'PreLaunch' ? 'inactive' : 'deprecated';
}

function millis(time: Micros): string {
  return String(Math.floor(time / 1000));
}
