/**
 * Binance spot. https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
 *
 * | channel    | stream             | role                                     | fixture            |
 * | ---------- | ------------------ | ---------------------------------------- | ------------------ |
 * | trades     | `<s>@trade`        | ids consecutive per symbol               | binance/trade      |
 * |            | `<s>@aggTrade`     | decoded, not subscribed: other id space  | binance/agg-trade  |
 * | candles    | `<s>@kline_1m`     | closed by flag `x`, trade count `n`      | binance/kline      |
 * | order_book | `<s>@depth@100ms`  | diffs, `U` = previous `u` + 1            | binance/depth      |
 * |            | GET depth          | the snapshot that the diffs continue     | binance/depth-rest |
 * | -          | `!serverShutdown`  | and acknowledgements, refusals           | binance/control    |
 * | -          | GET exchangeInfo   | markets                                  | binance/markets    |
 */
import type {
  Decoded,
  DecodedBook,
  SequenceVerdict,
  StreamKey,
  SubscribeFrame,
  WsAdapter,
} from '../adapter.ts';
import type { Channel, Decimal, Instrument } from '../events.ts';
import {
  boolean,
  decimal,
  epochMicros,
  idText,
  integer,
  isZero,
  levels,
  parseObject,
  positiveDecimal,
  precisionOf,
  shortText,
} from '../wire.ts';

interface State {
  nextRequestId: number;
}

export const binance: WsAdapter<State> = {
  id: 'binance',
  urls: { ws: 'wss://stream.binance.com:9443', rest: 'https://api.binance.com' },
  channels: { trades: 'ids', candles: 'none', order_book: 'sequence' },
  limits: {
    streamsPerConnection: 1000,
    // The exchange allows 5, and counts our pongs too.
    messagesPerSecond: 4,
    streamsPerFrame: 200,
    connectionsPer5Minutes: 300,
    connectionMaxAgeMs: 24 * 3_600_000,
    restWeightPerMinute: 6000,
  },

  venueSymbol: (base, quote) => `${base}${quote}`,
  // Combined streams wrap each payload; subscriptions follow as frames, where they can be awaited.
  endpoints: (streams) => [{ path: '/stream', streams }],
  open: () => ({ nextRequestId: 1 }),
  subscribe: (streams, state) => requests('SUBSCRIBE', streams, state),
  decode: (frame) => decodeMessage(parseObject<Message>(frame)),
  candleClose: 'flag',
  book: {
    sequence: bookSequence,
    seed: {
      levels: seedLevels,
      request: (venueSymbol, depth) => ({
        path: '/api/v3/depth',
        query: { symbol: venueSymbol, limit: String(seedLevels(depth)) },
        weight: seedLevels(depth) / 20,
      }),
      parse: parseDepth,
    },
  },
  markets: {
    request: { path: '/api/v3/exchangeInfo', query: {}, weight: 20 },
    parse: (body) => parseObject<ExchangeInfo>(body).symbols.flatMap(instrument),
  },
};

const STREAM_OF: Record<Channel, string> = {
  trades: '@trade',
  candles: '@kline_1m',
  order_book: '@depth@100ms',
};

function requests(method: string, streams: readonly StreamKey[], state: State): SubscribeFrame[] {
  const frames: SubscribeFrame[] = [];
  const size = binance.limits.streamsPerFrame;
  for (let i = 0; i < streams.length; i += size) {
    const some = streams.slice(i, i + size);
    const params = some.map((s) => s.venueSymbol.toLowerCase() + STREAM_OF[s.channel]);
    const id = state.nextRequestId++;
    const text = JSON.stringify({ method, params, id });
    frames.push({ text, streams: some, awaits: [String(id)] });
  }
  return frames;
}

function decodeMessage(message: Message): readonly Decoded[] {
  const data = message.data ?? message;
  switch (data.e) {
    case 'trade':
      return [trade(data, data.t)];
    case 'aggTrade':
      return [trade(data, data.a)];
    case 'kline':
      return candle(data);
    case 'depthUpdate':
      return [depthUpdate(data)];
    case 'serverShutdown':
      return [{ kind: 'reconnect' }];
    default:
      return answer(message);
  }
}

/** `T`, not `E`: when it was traded, not when it was sent. `m`: the buyer was the maker. */
function trade(data: Payload, id: unknown): Decoded {
  return {
    kind: 'trade',
    venueSymbol: shortText(data.s, 's'),
    tradeId: idText(id, 'trade id'),
    side: boolean(data.m, 'm') ? 'sell' : 'buy',
    price: positiveDecimal(data.p, 'p'),
    quantity: positiveDecimal(data.q, 'q'),
    time: epochMicros(data.T, 'T'),
  };
}

function candle(data: Payload): Decoded[] {
  const k = data.k ?? {};
  if (k.i !== '1m') return [];
  return [
    {
      kind: 'candle',
      venueSymbol: shortText(data.s, 's'),
      time: epochMicros(k.t, 'k.t'),
      open: positiveDecimal(k.o, 'k.o'),
      high: positiveDecimal(k.h, 'k.h'),
      low: positiveDecimal(k.l, 'k.l'),
      close: positiveDecimal(k.c, 'k.c'),
      volume: decimal(k.v, 'k.v'),
      trades: integer(k.n, 'k.n'),
      closed: boolean(k.x, 'k.x'),
    },
  ];
}

function depthUpdate(data: Payload): DecodedBook {
  return {
    kind: 'book',
    venueSymbol: shortText(data.s, 's'),
    snapshot: false,
    first: integer(data.U, 'U'),
    last: integer(data.u, 'u'),
    time: epochMicros(data.E, 'E'),
    bids: levels(data.b, 'b'),
    asks: levels(data.a, 'a'),
  };
}

/** 1000 cost a fifth of 5000 and last until the price has moved past most of them. */
function seedLevels(depth: number): number {
  return depth <= 100 ? 1000 : 5000;
}

function parseDepth(body: string, venueSymbol: string): DecodedBook {
  const depth = parseObject<Depth>(body);
  const last = integer(depth.lastUpdateId, 'lastUpdateId');
  return {
    kind: 'book',
    venueSymbol,
    snapshot: true,
    first: last,
    last,
    time: null,
    bids: levels(depth.bids, 'bids'),
    asks: levels(depth.asks, 'asks'),
  };
}

function bookSequence(bookLast: number, change: DecodedBook): SequenceVerdict {
  if (change.last <= bookLast) return 'stale';
  return change.first > bookLast + 1 ? 'gap' : 'apply';
}

/** An answer to a request of ours: `{"result":null,"id":1}` or `{"code":2,"msg":"...","id":1}`. */
function answer(message: Message): readonly Decoded[] {
  if (message.code !== undefined) {
    const id = message.id === undefined || message.id === null ? null : String(message.id);
    return [{ kind: 'refused', id, reason: `${message.code}: ${String(message.msg)}` }];
  }
  if (message.result === null && message.id !== undefined) {
    return [{ kind: 'ack', id: String(message.id) }];
  }
  return [];
}

function instrument(market: Market): Instrument[] {
  const { symbol, baseAsset, quoteAsset } = market;
  if (!symbol || !baseAsset || !quoteAsset) return [];
  const filters = new Map(market.filters?.map((filter) => [filter.filterType, filter]));
  const lot = filters.get('LOT_SIZE');
  const tick = rule(filters.get('PRICE_FILTER')?.tickSize);
  const step = rule(lot?.stepSize);
  return [
    {
      symbol: `${baseAsset}/${quoteAsset}`,
      venueSymbol: symbol,
      base: baseAsset,
      quote: quoteAsset,
      // HALT, BREAK, END_OF_DAY, CANCEL_ONLY end or come back; a delisted market leaves the list.
      status: market.status === 'TRADING' ? 'active' : 'inactive',
      minOrderSize: rule(lot?.minQty),
      maxOrderSize: rule(lot?.maxQty),
      pricePrecision: tick === null ? null : precisionOf(tick),
      quantityPrecision: step === null ? null : precisionOf(step),
    },
  ];
}

/** A member of a filter; "0.00000000" switches the rule off. */
function rule(value: unknown): Decimal | null {
  if (value === undefined) return null;
  const number = decimal(value, 'filter');
  return isZero(number) ? null : number;
}

interface Message extends Payload {
  readonly data?: Payload;
  readonly result?: unknown;
  readonly id?: number | string | null;
  readonly code?: number;
  readonly msg?: unknown;
}

/** Payloads as the documentation names their members; what they hold is checked where it is read. */
type Payload = Readonly<
  Partial<Record<'s' | 't' | 'a' | 'p' | 'q' | 'T' | 'm' | 'E' | 'U' | 'u' | 'b', unknown>>
> & { readonly e?: unknown; readonly k?: Readonly<Record<string, unknown>> };

interface Depth {
  readonly lastUpdateId: unknown;
  readonly bids: unknown;
  readonly asks: unknown;
}

interface Market {
  readonly symbol?: string;
  readonly status?: string;
  readonly baseAsset?: string;
  readonly quoteAsset?: string;
  readonly filters?: readonly { readonly filterType: string; readonly [member: string]: unknown }[];
}

interface ExchangeInfo {
  readonly symbols: readonly Market[];
}
