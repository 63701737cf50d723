/**
 * Kraken spot, WebSocket v2. https://docs.kraken.com/exchange/api-reference/spot-websocket-v2
 *
 * | channel    | stream             | role                                         | fixture         |
 * | ---------- | ------------------ | -------------------------------------------- | --------------- |
 * | trades     | `trade`            | ids consecutive per symbol                   | kraken/trade    |
 * | candles    | `ohlc`, interval 1 | no closed flag; `trades` is their number     | kraken/ohlc     |
 * | order_book | `book`             | in band, CRC32 of the 10 best after a change | kraken/book     |
 * | -          | `status`, ...      | and acknowledgements, refusals               | kraken/control  |
 * | -          | GET AssetPairs     | markets                                      | kraken/markets  |
 * | candles    | GET OHLC           | the newest 720, whatever is asked for        | kraken/history  |
 *
 * Prices and amounts are JSON numbers whose trailing zeros count: the checksum is over their digits.
 * GET Trades pages by nanoseconds, not by id, so there is no trade history here.
 */
import type {
  Decoded,
  DecodedBook,
  DecodedCandle,
  StreamKey,
  SubscribeFrame,
  WsAdapter,
} from '../adapter.ts';
import type { Channel, Decimal, Instrument, Level, Micros } from '../events.ts';
import {
  array,
  crc32,
  epochMicros,
  idText,
  integer,
  isoMicros,
  object,
  parseObject,
  plainDecimal,
  positiveDecimal,
  quoteNumbers,
  refusedAnswer,
  type Row,
  shortText,
  side,
} from '../wire.ts';

interface State {
  nextRequestId: number;
  /** Levels a side that are subscribed. */
  readonly depth: number;
  /** The same as acknowledged, by symbol: a recording may have been made with another depth. */
  readonly acknowledged: Map<string, number>;
}

export const kraken: WsAdapter<State> = {
  id: 'kraken',
  urls: { ws: 'wss://ws.kraken.com', rest: 'https://api.kraken.com' },
  channels: { trades: 'ids', candles: 'none', order_book: 'checksum' },
  limits: {
    streamsPerConnection: 300,
    // "Dynamic", says Kraken, and no number.
    messagesPerSecond: 5,
    streamsPerFrame: 100,
    // Cloudflare stops an address at about 150 in 10 minutes.
    connectionsPer5Minutes: 60,
    // Kraken sets no age.
    connectionMaxAgeMs: 24 * 3_600_000,
    restWeightPerMinute: 60,
  },

  venueSymbol: (base, quote) => `${base}/${quote}`,
  endpoints: (streams) => [{ path: '/v2', streams }],
  open: ({ bookDepth }) => ({
    nextRequestId: 1,
    depth: depthFor(bookDepth),
    acknowledged: new Map(),
  }),
  subscribe: (streams, state) => requests('subscribe', streams, state),
  unsubscribe: (streams, state) => requests('unsubscribe', streams, state).map(({ text }) => text),
  decode: (frame, state) => decodeMessage(parseObject<Row>(withDigits(frame)), state),
  candleClose: 'next-open',
  book: { checksum: { levels: 10, of: checksum } },
  markets: {
    requests: [{ path: '/0/public/AssetPairs', query: {}, weight: 1 }],
    parse: (body) => Object.values(resultOf(body)).flatMap(instrument),
  },
  history: {
    candles: {
      maxRows: 720,
      request: (venueSymbol, from) => ({
        path: '/0/public/OHLC',
        // What is asked for comes after `since`.
        query: { pair: restPair(venueSymbol), interval: '1', since: String(from / 1e6 - 60) },
        weight: 1,
      }),
      parse: parseCandles,
      emptyMinutes: 'present',
    },
  },
};

const withDigits = quoteNumbers(
  // prettier-ignore
  ['price', 'qty', 'trade_id', 'open', 'high', 'low', 'close', 'volume'],
);

const DEPTHS = [10, 25, 100, 500, 1000];

/** The smallest that Kraken offers for so many levels. */
function depthFor(levels: number): number {
  return DEPTHS.find((depth) => depth >= levels) ?? 1000;
}

/** A request names one channel and its symbols; each symbol is answered for. */
function requests(method: string, streams: readonly StreamKey[], state: State): SubscribeFrame[] {
  const paramsOf: Record<Channel, object> = {
    trades: { channel: 'trade', snapshot: false },
    candles: { channel: 'ohlc', interval: 1 },
    order_book: { channel: 'book', depth: state.depth },
  };
  const frames: SubscribeFrame[] = [];
  const size = kraken.limits.streamsPerFrame;
  for (const channel of ['trades', 'candles', 'order_book'] as const) {
    const ofChannel = streams.filter((stream) => stream.channel === channel);
    for (let i = 0; i < ofChannel.length; i += size) {
      const some = ofChannel.slice(i, i + size);
      const symbol = some.map(({ venueSymbol }) => venueSymbol);
      const id = state.nextRequestId++;
      const params = { ...paramsOf[channel], symbol };
      const text = JSON.stringify({ method, params, req_id: id });
      frames.push({ text, streams: some, awaits: symbol.map((name) => `${id} ${name}`) });
    }
  }
  return frames;
}

function decodeMessage(message: Row, state: State): readonly Decoded[] {
  const rows = () => array(message.data, 'data').map((row) => object(row, 'data'));
  switch (message.channel) {
    case 'trade':
      return rows().map((row) => trade(row, message.type === 'snapshot'));
    case 'ohlc':
      return rows().flatMap(candle);
    case 'book':
      return rows().map((row) => book(row, message.type === 'snapshot', state));
    default:
      return answer(message, state);
  }
}

function trade(row: Row, backlog: boolean): Decoded {
  return {
    kind: 'trade',
    venueSymbol: shortText(row.symbol, 'symbol'),
    tradeId: idText(row.trade_id, 'trade_id'),
    side: side(row.side, 'side', { buy: 'buy', sell: 'sell' }),
    price: positive(row.price, 'price'),
    quantity: positive(row.qty, 'qty'),
    time: isoMicros(row.timestamp, 'timestamp'),
    ...(backlog && { backlog }),
  };
}

function candle(row: Row): Decoded[] {
  if (row.interval !== 1) return [];
  // Not `timestamp`, which is when it ends.
  const time = isoMicros(row.interval_begin, 'interval_begin');
  const values = [row.open, row.high, row.low, row.close, row.volume];
  return [candleOf(shortText(row.symbol, 'symbol'), time, values, row.trades, false)];
}

function candleOf(
  venueSymbol: string,
  time: Micros,
  [open, high, low, close, volume]: readonly unknown[],
  trades: unknown,
  closed: boolean,
): DecodedCandle {
  return {
    kind: 'candle',
    venueSymbol,
    time,
    open: positive(open, 'open'),
    high: positive(high, 'high'),
    low: positive(low, 'low'),
    close: positive(close, 'close'),
    volume: plainDecimal(volume, 'volume'),
    trades: integer(trades, 'trades'),
    closed,
  };
}

function book(row: Row, snapshot: boolean, state: State): DecodedBook {
  const venueSymbol = shortText(row.symbol, 'symbol');
  const bids = array(row.bids, 'bids').map(level);
  const asks = array(row.asks, 'asks').map(level);
  return {
    kind: 'book',
    venueSymbol,
    snapshot,
    // There are no sequence numbers.
    first: 0,
    last: 0,
    time: row.timestamp === undefined ? null : isoMicros(row.timestamp, 'timestamp'),
    bids,
    asks,
    ...(row.checksum !== undefined && { checksum: integer(row.checksum, 'checksum') }),
    // Of a recording that begins after the acknowledgement, the snapshot tells.
    ...(snapshot && {
      window: state.acknowledged.get(venueSymbol) ?? depthFor(Math.max(bids.length, asks.length)),
    }),
  };
}

function level(value: unknown): Level {
  const { price, qty } = object(value, 'level');
  return [positive(price, 'price'), plainDecimal(qty, 'qty')];
}

function positive(value: unknown, field: string): Decimal {
  return positiveDecimal(plainDecimal(value, field), field);
}

/** https://docs.kraken.com/exchange/guides/websockets/book-checksum-v2 */
function checksum(bids: readonly Level[], asks: readonly Level[]): number {
  return crc32([...asks, ...bids].map(([price, qty]) => digits(price) + digits(qty)).join(''));
}

/** `0.00100000` -> `100000` */
function digits(number: Decimal): string {
  return number.replace('.', '').replace(/^0+/, '');
}

/** The answer for one symbol of a request; a request that cannot be read has but one. */
function answer({ method, success, ...message }: Row, state: State): readonly Decoded[] {
  if (success === undefined || method === 'unsubscribe') return [];
  const { channel, symbol, depth } = success === true ? object(message.result, 'result') : message;
  const id = typeof symbol === 'string' ? `${String(message.req_id)} ${symbol}` : null;
  const reason = String(message.error);
  // Subscribing twice is no mistake of ours: it heals a stream that fell silent.
  if (success !== true && !/already subscribed/i.test(reason)) {
    return [{ kind: 'refused', id, reason }];
  }
  if (id === null) return [];
  if (channel === 'book') state.acknowledged.set(String(symbol), integer(depth, 'depth'));
  return [{ kind: 'ack', id }];
}

/** Of a REST request; errors come with status 200. */
function resultOf(body: string): Row {
  const { error, result } = parseObject<Row>(body);
  if (result === undefined) throw refusedAnswer(error);
  return object(result, 'result');
}

/** `[[time, open, high, low, close, vwap, volume, trades], ...]`; `last` is the last that is closed. */
function parseCandles(body: string, venueSymbol: string): DecodedCandle[] {
  const { last, ...byPair } = resultOf(body);
  return array(Object.values(byPair)[0], 'rows').map((value) => {
    const [seconds, open, high, low, close, , volume, trades] = array(value, 'row');
    const time = epochMicros(integer(seconds, 'time') * 1000, 'time');
    const closed = Number(seconds) <= integer(last, 'last');
    return candleOf(venueSymbol, time, [open, high, low, close, volume], trades, closed);
  });
}

/** The names that REST has kept, and those of v2. */
const RENAMED = [
  ['XBT', 'BTC'],
  ['XDG', 'DOGE'],
] as const;

/** `BTC/USD` -> `XBTUSD` */
function restPair(venueSymbol: string): string {
  const names = venueSymbol.split('/');
  return names.map((name) => RENAMED.find(([, now]) => now === name)?.[0] ?? name).join('');
}

/** Statuses in which orders may meet; older lists have none. The others are halts. */
const TRADING: readonly unknown[] = ['online', 'limit_only', 'reduce_only', undefined];

function instrument(value: unknown): Instrument[] {
  const pair = object(value, 'pair');
  // Dark pools have no name on the socket.
  const names = typeof pair.wsname === 'string' ? pair.wsname.split('/') : [];
  const [base, quote] = names.map((name) => RENAMED.find(([was]) => was === name)?.[1] ?? name);
  if (!base || !quote) return [];
  return [
    {
      symbol: `${base}/${quote}`,
      venueSymbol: `${base}/${quote}`,
      base,
      quote,
      status: TRADING.includes(pair.status) ? 'active' : 'inactive',
      minOrderSize: pair.ordermin === undefined ? null : plainDecimal(pair.ordermin, 'ordermin'),
      maxOrderSize: null,
      pricePrecision: integer(pair.pair_decimals, 'pair_decimals'),
      quantityPrecision: integer(pair.lot_decimals, 'lot_decimals'),
    },
  ];
}
