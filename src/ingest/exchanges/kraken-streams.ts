/**
 * Kraken's streams: requests, payloads, the checksum of books. The evidence is in kraken.ts.
 */
import type { Decoded, DecodedBook, DecodedCandle, StreamKey, SubscribeFrame } from '../adapter.ts';
import type { Channel, Decimal, Level, Micros } from '../events.ts';
import * as sent from '../trade-pattern.ts';
import {
  array,
  crc32,
  idText,
  integer,
  isoMicros,
  object,
  parseObject,
  plainDecimal,
  positiveDecimal,
  quoteNumbers,
  type Row,
  said,
  shortText,
  side,
} from '../wire.ts';

export interface State {
  nextRequestId: number;
  /** Levels a side that are subscribed. */
  readonly depth: number;
  /** The same as acknowledged, by symbol: a recording may have been made with another depth. */
  readonly acknowledged: Map<string, number>;
}

/** A request names one channel and its symbols; each symbol is answered for. */
export function requests(
  method: string,
  streams: readonly StreamKey[],
  state: State,
  size: number,
): SubscribeFrame[] {
  const paramsOf: Record<Channel, object> = {
    trades: { channel: 'trade', snapshot: false },
    candles: { channel: 'ohlc', interval: 1 },
    order_book: { channel: 'book', depth: state.depth },
  };
  const frames: SubscribeFrame[] = [];
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

const DEPTHS = [10, 25, 100, 500, 1000];
const MAX_LEVELS = 5_000;

/** The smallest that Kraken offers for so many levels. */
export function depthFor(levels: number): number {
  return DEPTHS.find((depth) => depth >= levels) ?? 1000;
}

const withDigits = quoteNumbers(
  // prettier-ignore
  ['price', 'qty', 'trade_id', 'open', 'high', 'low', 'close', 'volume'],
);

const TRADES = { channel: '"trade"', type: '"update"', data: sent.LIST };
const tradesAsSent = sent.tradePattern({
  before: sent.openMembers(TRADES),
  row: sent.members({
    symbol: sent.text('venueSymbol'),
    side: sent.eitherOf('side', '"buy"', '"sell"'),
    price: sent.decimalNumber('price'),
    qty: sent.decimalNumber('quantity'),
    trade_id: sent.integerNumber('tradeId'),
    timestamp: sent.text('time'),
  }),
  after: sent.LIST_END + sent.closeMembers(TRADES),
  buy: '"buy"',
  micros: (time) => isoMicros(time, 'timestamp'),
});

export function decodeFrame(frame: string, state: State): readonly Decoded[] {
  const trades = tradesAsSent(frame);
  if (trades) return trades;
  const message = parseObject<Row>(withDigits(frame));
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

export function candleOf(
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
  const bids = array(row.bids, 'bids', MAX_LEVELS).map(level);
  const asks = array(row.asks, 'asks', MAX_LEVELS).map(level);
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
export function checksum(bids: readonly Level[], asks: readonly Level[]): number {
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
  const id = typeof symbol === 'string' ? `${said(message.req_id)} ${symbol}` : null;
  const reason = said(message.error);
  // Subscribing twice is no mistake of ours: it heals a stream that fell silent.
  if (success !== true && !/already subscribed/i.test(reason)) {
    return [{ kind: 'refused', id, reason }];
  }
  if (id === null) return [];
  if (channel === 'book') state.acknowledged.set(said(symbol), integer(depth, 'depth'));
  return [{ kind: 'ack', id }];
}
