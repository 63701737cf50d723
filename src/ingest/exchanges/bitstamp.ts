/**
 * Bitstamp v2. https://www.bitstamp.net/websocket/v2/
 *
 * | channel    | stream             | role                                           | fixture                |
 * | ---------- | ------------------ | ---------------------------------------------- | ---------------------- |
 * | trades     | `live_trades_*`    | each match; ids are shared by all markets      | bitstamp/trade         |
 * | candles    | GET ohlc           | no stream: made of the trades, verified here   | bitstamp/candles       |
 * | order_book | `order_book_*`     | 100 levels a side, whole each time             | bitstamp/book          |
 * |            | `diff_order_book_*`| decoded, not subscribed: a loss would not show | bitstamp/diff          |
 * |            | GET order_book     | what the changes continue                      | bitstamp/snapshot      |
 * | -          | `bts:*`            | acknowledgements, refusals, moving house       | bitstamp/control       |
 * | -          | GET markets        | markets                                        | bitstamp/markets       |
 *
 * GET transactions goes by the last minute, hour or day, not by id: there is no trade history here.
 */
import type { Decoded, DecodedBook, DecodedCandle, StreamKey, WsAdapter } from '../adapter.ts';
import type { Channel, Instrument } from '../events.ts';
import * as sent from '../trade-pattern.ts';
import {
  array,
  decimal,
  epochMicros,
  idText,
  integer,
  integerText,
  levels,
  object,
  parseArray,
  parseObject,
  positiveDecimal,
  type Row,
  ruleOf,
  said,
  shortText,
  side,
} from '../wire.ts';

/** The whole book, by REST: some thousand levels. */
const MAX_LEVELS = 50_000;

export const bitstamp: WsAdapter<null> = {
  id: 'bitstamp',
  urls: { ws: 'wss://ws.bitstamp.net', rest: 'https://www.bitstamp.net' },
  channels: { trades: 'none', candles: 'none', order_book: 'none' },
  limits: {
    // None is documented.
    streamsPerConnection: 40,
    messagesPerSecond: 10,
    streamsPerFrame: 1,
    connectionsPer5Minutes: 100,
    connectionMaxAgeMs: 24 * 3_600_000,
    restWeightPerMinute: 1000,
  },

  venueSymbol: (base, quote, settle) =>
    `${base}${quote}${settle === undefined ? '' : '-perp'}`.toLowerCase(),
  endpoints: (streams) => [{ path: '', streams }],
  open: () => null,
  subscribe: (streams) =>
    streams.map((stream) => ({
      text: request('bts:subscribe', stream),
      streams: [stream],
      awaits: [topicOf(stream)],
    })),
  unsubscribe: (streams) => streams.map((stream) => request('bts:unsubscribe', stream)),
  decode: (frame) => tradeAsSent(frame) ?? decode(parseObject<Row>(frame)),
  heartbeat: { everyMs: 30_000, text: JSON.stringify({ event: 'bts:heartbeat' }) },
  candleClose: 'trades',
  book: {
    sequence: (bookLast, change) => (change.last <= bookLast ? 'stale' : 'apply'),
    // Only changes ask for it: what is subscribed comes whole.
    seed: {
      levels: () => Infinity,
      request: (venueSymbol) => ({
        path: `/api/v2/order_book/${venueSymbol}/`,
        query: { group: '1' },
        weight: 1,
      }),
      parse: (body, venueSymbol) => book(parseObject<Row>(body), venueSymbol, true),
    },
  },
  markets: {
    requests: [{ path: '/api/v2/markets/', query: {}, weight: 1 }],
    parse: (body) => parseArray(body).flatMap((market) => instrument(object(market, 'market'))),
  },
  history: {
    candles: {
      maxRows: 1000,
      request: (venueSymbol, from, to) => ({
        path: `/api/v2/ohlc/${venueSymbol}/`,
        query: { step: '60', limit: '1000', start: String(from / 1e6), end: String(to / 1e6) },
        weight: 1,
      }),
      parse: (body, venueSymbol) => {
        const { ohlc } = object(parseObject<Row>(body).data, 'data');
        return array(ohlc, 'ohlc').map((row) => candle(object(row, 'candle'), venueSymbol));
      },
      // Not documented; with this the exchange's answer decides, minute by minute.
      emptyMinutes: 'present',
    },
  },
};

/** There are no candles to subscribe: trades are what they are made of. */
const TOPIC_OF: Record<Channel, string> = {
  trades: 'live_trades_',
  candles: 'live_trades_',
  order_book: 'order_book_',
};

const topicOf = ({ channel, venueSymbol }: StreamKey) => TOPIC_OF[channel] + venueSymbol;

function request(event: string, stream: StreamKey): string {
  return JSON.stringify({ event, data: { channel: topicOf(stream) } });
}

const tradeAsSent = sent.tradePattern({
  row: sent.members({
    data: sent.members({
      id: sent.integerNumber('tradeId'),
      amount_str: sent.decimalText('quantity'),
      price_str: sent.decimalText('price'),
      type: sent.eitherOf('side', '0', '1'),
      microtimestamp: sent.integerText('time'),
    }),
    channel: sent.text('venueSymbol', 'live_trades_'),
    event: '"trade"',
  }),
  buy: '0',
  micros: (time) => epochMicros(Number(time), 'microtimestamp'),
});

const TOPIC = /^(live_trades|order_book|diff_order_book)_(.+)$/;

function decode(message: Row): readonly Decoded[] {
  switch (message.event) {
    case 'trade':
    case 'data': {
      const [, topic, venueSymbol = ''] = TOPIC.exec(shortText(message.channel, 'channel')) ?? [];
      if (topic === undefined) return [];
      const data = object(message.data, 'data');
      if (topic === 'live_trades') return [trade(data, venueSymbol)];
      return [book(data, venueSymbol, topic === 'order_book')];
    }
    case 'bts:subscription_succeeded':
      return [{ kind: 'ack', id: shortText(message.channel, 'channel') }];
    case 'bts:error': {
      const { channel, data } = message;
      const { message: reason } = object(data, 'data');
      const id = channel === '' ? null : shortText(channel, 'channel');
      return [{ kind: 'refused', id, reason: said(reason) }];
    }
    case 'bts:request_reconnect':
      return [{ kind: 'reconnect' }];
    default:
      return [];
  }
}

function trade(data: Row, venueSymbol: string): Decoded {
  return {
    kind: 'trade',
    venueSymbol,
    tradeId: idText(data.id, 'id'),
    side: side(said(data.type), 'type', { 0: 'buy', 1: 'sell' }),
    // `price` and `amount` are floats.
    price: positiveDecimal(data.price_str, 'price_str'),
    quantity: positiveDecimal(data.amount_str, 'amount_str'),
    time: epochMicros(integerText(data.microtimestamp, 'microtimestamp'), 'microtimestamp'),
  };
}

/** Its time is all that numbers it. */
function book(data: Row, venueSymbol: string, snapshot: boolean): DecodedBook {
  const time = epochMicros(integerText(data.microtimestamp, 'microtimestamp'), 'microtimestamp');
  const bids = levels(data.bids, 'bids', MAX_LEVELS);
  const asks = levels(data.asks, 'asks', MAX_LEVELS);
  return { kind: 'book', venueSymbol, snapshot, first: time, last: time, time, bids, asks };
}

function candle(row: Row, venueSymbol: string): DecodedCandle {
  return {
    kind: 'candle',
    venueSymbol,
    time: epochMicros(integerText(row.timestamp, 'timestamp') * 1000, 'timestamp'),
    open: positiveDecimal(row.open, 'open'),
    high: positiveDecimal(row.high, 'high'),
    low: positiveDecimal(row.low, 'low'),
    close: positiveDecimal(row.close, 'close'),
    volume: decimal(row.volume, 'volume'),
    trades: null,
    closed: true,
  };
}

function instrument(market: Row): Instrument[] {
  const { base_currency: base, counter_currency: quote, market_type: type } = market;
  if (typeof base !== 'string' || typeof quote !== 'string') return [];
  if (type !== 'SPOT' && type !== 'PERPETUAL') return [];
  return [
    {
      symbol: type === 'SPOT' ? `${base}/${quote}` : `${base}/${quote}:${quote}`,
      venueSymbol: shortText(market.market_symbol, 'market_symbol'),
      base,
      quote,
      status: market.trading === 'Enabled' ? 'active' : 'inactive',
      // Of spot markets only the least value is known, in the other currency.
      minOrderSize: ruleOf(market.minimum_order_amount, 'minimum_order_amount'),
      maxOrderSize: ruleOf(market.maximum_order_amount, 'maximum_order_amount'),
      pricePrecision: integer(market.counter_decimals, 'counter_decimals'),
      quantityPrecision: integer(market.base_decimals, 'base_decimals'),
    },
  ];
}
