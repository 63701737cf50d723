/**
 * The streams that Binance's spot, USD-M futures and US exchanges have in common: requests, payloads,
 * the rule that books follow. What differs, and the evidence, is in the file of each.
 */
import type {
  Decoded,
  DecodedBook,
  DecodedCandle,
  DecodedTrade,
  SequenceVerdict,
  StreamKey,
  SubscribeFrame,
} from '../adapter.ts';
import type { Channel } from '../events.ts';
import * as sent from '../trade-pattern.ts';
import {
  boolean,
  decimal,
  epochMicros,
  idText,
  integer,
  isZero,
  levels,
  object,
  parseObject,
  positiveDecimal,
  said,
  shortText,
} from '../wire.ts';

export interface State {
  nextRequestId: number;
}

/** SUBSCRIBE requests of at most `size` streams. */
export function subscribeFrames(
  streams: readonly StreamKey[],
  state: State,
  streamOf: Readonly<Record<Channel, string>>,
  size: number,
): SubscribeFrame[] {
  const frames: SubscribeFrame[] = [];
  for (let i = 0; i < streams.length; i += size) {
    const some = streams.slice(i, i + size);
    const params = some.map((s) => s.venueSymbol.toLowerCase() + streamOf[s.channel]);
    const id = state.nextRequestId++;
    const text = JSON.stringify({ method: 'SUBSCRIBE', params, id });
    frames.push({ text, streams: some, awaits: [String(id)] });
  }
  return frames;
}

/**
 * For exchanges that ping every 3 minutes only: an answer in between tells a quiet market from a
 * dead socket. What it lists does not matter.
 */
export const listingHeartbeat = {
  everyMs: 20_000,
  text: JSON.stringify({ method: 'LIST_SUBSCRIPTIONS', id: 0 }),
};

const tradeAsSent = sent.tradePattern({
  row: sent.members({
    data: sent.members({
      e: '"trade"',
      s: sent.text('venueSymbol'),
      t: sent.integerNumber('tradeId'),
      p: sent.decimalText('price'),
      q: sent.decimalText('quantity'),
      T: sent.integerNumber('time'),
      m: sent.eitherOf('side', 'true', 'false'),
    }),
  }),
  buy: 'false',
  micros: (time) => epochMicros(Number(time), 'T'),
});

const aggregateAsSent = sent.tradePattern({
  row: sent.members({
    data: sent.members({
      e: '"aggTrade"',
      a: sent.integerNumber('tradeId'),
      s: sent.text('venueSymbol'),
      p: sent.decimalText('price'),
      q: sent.decimalText('quantity'),
      T: sent.integerNumber('time'),
      m: sent.eitherOf('side', 'true', 'false'),
    }),
  }),
  buy: 'false',
  micros: (time) => epochMicros(Number(time), 'T'),
});

export function decodeFrame(frame: string): readonly Decoded[] {
  const trades = tradeAsSent(frame) ?? aggregateAsSent(frame);
  if (trades) return trades;
  const message = parseObject<Message>(frame);
  const data = message.data === undefined ? message : object(message.data, 'data');
  switch (data.e) {
    case 'trade':
      return isPlaceholder(data) ? [] : [trade(data.s, data, data.t)];
    case 'aggTrade':
      return [trade(data.s, data, data.a)];
    case 'kline': {
      const kline = object(data.k, 'k');
      return kline.i === '1m' ? [candle(data.s, kline)] : [];
    }
    case 'depthUpdate':
      return isPartial(message.stream) ? [] : [depthUpdate(data)];
    case 'serverShutdown':
      return [{ kind: 'reconnect' }];
    default:
      return answer(message);
  }
}

/** `T`, not `E`: when it was traded, not when it was sent. `m`: the buyer was the maker. */
export function trade(venueSymbol: unknown, data: Members, id: unknown): DecodedTrade {
  return {
    kind: 'trade',
    venueSymbol: shortText(venueSymbol, 's'),
    tradeId: idText(id, 'trade id'),
    side: boolean(data.m, 'm') ? 'sell' : 'buy',
    price: positiveDecimal(data.p, 'p'),
    quantity: positiveDecimal(data.q, 'q'),
    time: epochMicros(data.T, 'T'),
  };
}

/** Futures use up some ids without a trade: `X` is "NA", price and quantity are "0". */
function isPlaceholder(data: Members): boolean {
  return data.X === 'NA' && isZero(decimal(data.q, 'q'));
}

export function candle(venueSymbol: unknown, k: Members): DecodedCandle {
  return {
    kind: 'candle',
    venueSymbol: shortText(venueSymbol, 's'),
    time: epochMicros(k.t, 'k.t'),
    open: positiveDecimal(k.o, 'k.o'),
    high: positiveDecimal(k.h, 'k.h'),
    low: positiveDecimal(k.l, 'k.l'),
    close: positiveDecimal(k.c, 'k.c'),
    volume: decimal(k.v, 'k.v'),
    trades: integer(k.n, 'k.n'),
    closed: boolean(k.x, 'k.x'),
  };
}

/** `E`: futures have a `T` too, but the time of a book means the same on all three. */
function depthUpdate(data: Members): DecodedBook {
  return {
    kind: 'book',
    venueSymbol: shortText(data.s, 's'),
    snapshot: false,
    first: integer(data.U, 'U'),
    last: integer(data.u, 'u'),
    ...(data.pu !== undefined && { previous: integer(data.pu, 'pu') }),
    time: epochMicros(data.E, 'E'),
    bids: levels(data.b, 'b'),
    asks: levels(data.a, 'a'),
  };
}

/** `<s>@depth20`: on futures it looks like a change, and is the best 20 levels instead. */
function isPartial(stream: unknown): boolean {
  return typeof stream === 'string' && /@depth\d/.test(stream);
}

/** A change covers the ids after `pu` up to `u`. Spot's have no `pu`, and no holes between them. */
export function bookSequence(bookLast: number, change: DecodedBook): SequenceVerdict {
  if (change.last <= bookLast) return 'stale';
  return (change.previous ?? change.first - 1) > bookLast ? 'gap' : 'apply';
}

/** Of a request: `{"result":null,"id":1}`, or an error, which some servers wrap in `error`. */
function answer(message: Message): readonly Decoded[] {
  const id = message.id === undefined || message.id === null ? null : said(message.id);
  const { code, msg } = message.error === undefined ? message : object(message.error, 'error');
  const reason = `${said(code)}: ${said(msg)}`;
  if (code !== undefined) return [{ kind: 'refused', id, reason }];
  return message.result === null && id !== null ? [{ kind: 'ack', id }] : [];
}

/** Named as in the documentation; what they hold is checked where it is read. */
type Members = Readonly<Record<string, unknown>>;

/** A payload, by itself or as the `data` of a combined stream; or an answer. */
interface Message extends Members {
  readonly id?: number | string | null;
}
