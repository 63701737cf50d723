/** The public streams of Bybit v5, the same for each category. The evidence is in the file of each. */
import type {
  Decoded,
  DecodedBook,
  DecodedCandle,
  DecodedTrade,
  SequenceVerdict,
  StreamKey,
  SubscribeFrame,
} from '../adapter.ts';
import * as sent from '../trade-pattern.ts';
import {
  array,
  boolean,
  decimal,
  epochMicros,
  integer,
  levels,
  object,
  parseObject,
  positiveDecimal,
  said,
  shortText,
  side,
} from '../wire.ts';

export interface State {
  /** Levels that are published. */
  readonly bookDepth: number;
  nextRequestId: number;
}

/** Named as in the documentation; what they hold is checked where it is read. */
export type Members = Readonly<Record<string, unknown>>;

export function requests(
  op: 'subscribe' | 'unsubscribe',
  streams: readonly StreamKey[],
  state: State,
  size: number,
): SubscribeFrame[] {
  const topics = {
    trades: 'publicTrade',
    candles: 'kline.1',
    order_book: `orderbook.${levelsFor(state.bookDepth)}`,
  };
  const frames: SubscribeFrame[] = [];
  for (let i = 0; i < streams.length; i += size) {
    const some = streams.slice(i, i + size);
    const args = some.map(({ channel, venueSymbol }) => `${topics[channel]}.${venueSymbol}`);
    const id = String(state.nextRequestId++);
    const text = JSON.stringify({ req_id: id, op, args });
    frames.push({ text, streams: some, awaits: [id] });
  }
  return frames;
}

/** Books come 1, 50, 200 or 1000 levels deep. */
function levelsFor(depth: number): number {
  return depth <= 50 ? 50 : depth <= 200 ? 200 : 1000;
}

const TRADES = { topic: sent.textFrom(String.raw`publicTrade\.`), data: sent.LIST };
const aroundTrades: Omit<sent.TradeShape, 'row'> = {
  before: sent.openMembers(TRADES),
  after: sent.LIST_END + sent.closeMembers(TRADES),
  buy: '"Buy"',
  micros: (time) => epochMicros(Number(time), 'T'),
};
const linearAsSent = sent.tradePattern({
  ...aroundTrades,
  row: sent.members({
    T: sent.integerNumber('time'),
    s: sent.text('venueSymbol'),
    S: sent.eitherOf('side', '"Buy"', '"Sell"'),
    v: sent.decimalText('quantity'),
    p: sent.decimalText('price'),
    i: sent.text('tradeId'),
  }),
});
const spotAsSent = sent.tradePattern({
  ...aroundTrades,
  row: sent.members({
    i: sent.text('tradeId'),
    T: sent.integerNumber('time'),
    p: sent.decimalText('price'),
    v: sent.decimalText('quantity'),
    S: sent.eitherOf('side', '"Buy"', '"Sell"'),
    s: sent.text('venueSymbol'),
  }),
});

export function decodeFrame(frame: string): readonly Decoded[] {
  const trades = linearAsSent(frame) ?? spotAsSent(frame);
  if (trades) return trades;
  const message = parseObject<Members>(frame);
  const { topic, data } = message;
  if (typeof topic !== 'string') return answer(message);
  const [channel = '', detail = '', venueSymbol] = topic.split('.');
  switch (channel) {
    case 'publicTrade':
      return array(data, 'data').map((item) => trade(object(item, 'data')));
    case 'kline':
      // At the turn of a minute the closed candle and the new one come together.
      if (detail !== '1') return [];
      return array(data, 'data').map((item) => candle(venueSymbol, object(item, 'data')));
    case 'orderbook':
      // Not `full`, which continues REST, nor `rpi`.
      return /^\d+$/.test(detail) ? [book(message, Number(detail))] : [];
    default:
      return [];
  }
}

/** `S` is the taker's side. `i`: digits beyond 2^53 on spot, a UUID on linear. */
function trade(data: Members): DecodedTrade {
  return {
    kind: 'trade',
    venueSymbol: shortText(data.s, 's'),
    tradeId: shortText(data.i, 'i'),
    side: side(data.S, 'S', { Buy: 'buy', Sell: 'sell' }),
    price: positiveDecimal(data.p, 'p'),
    quantity: positiveDecimal(data.v, 'v'),
    time: epochMicros(data.T, 'T'),
  };
}

export function candle(venueSymbol: unknown, data: Members): DecodedCandle {
  return {
    kind: 'candle',
    venueSymbol: shortText(venueSymbol, 'topic'),
    time: epochMicros(data.start, 'start'),
    open: positiveDecimal(data.open, 'open'),
    high: positiveDecimal(data.high, 'high'),
    low: positiveDecimal(data.low, 'low'),
    close: positiveDecimal(data.close, 'close'),
    volume: decimal(data.volume, 'volume'),
    trades: null,
    closed: boolean(data.confirm, 'confirm'),
  };
}

/** `u` 1: the service began anew, and this is the whole book. `ts`: older frames have no `cts`. */
function book({ data, type, ts }: Members, window: number): DecodedBook {
  const { s, b, a, u } = object(data, 'data');
  const last = integer(u, 'u');
  return {
    kind: 'book',
    venueSymbol: shortText(s, 's'),
    snapshot: type === 'snapshot' || last === 1,
    first: last,
    last,
    time: epochMicros(ts, 'ts'),
    bids: levels(b, 'b'),
    asks: levels(a, 'a'),
    window,
  };
}

/** Each topic counts its own frames. */
export function bookSequence(bookLast: number, { last }: DecodedBook): SequenceVerdict {
  if (last <= bookLast) return 'stale';
  return last === bookLast + 1 ? 'apply' : 'gap';
}

/** To a request of ours. One bad topic refuses all of them; one that we have already is none. */
function answer({ op, success, req_id: id, ret_msg: reason }: Members): readonly Decoded[] {
  if (op !== 'subscribe') return [];
  const known = typeof id === 'string' && id !== '' ? id : null;
  if (success === false && !said(reason).includes('already subscribed')) {
    return [{ kind: 'refused', id: known, reason: said(reason) }];
  }
  return known === null ? [] : [{ kind: 'ack', id: known }];
}
