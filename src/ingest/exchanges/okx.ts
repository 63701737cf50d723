/**
 * OKX v5. https://www.okx.com/docs-v5/en/#order-book-trading-market-data
 *
 * | channel    | stream            | role                                             | fixture     |
 * | ---------- | ----------------- | ------------------------------------------------ | ----------- |
 * | trades     | `trades`          | merged by order and price: ids jump by `count`   | okx/trades  |
 * |            | `trades-all`      | decoded, not subscribed: each match, /business   | okx/trades  |
 * | candles    | `candle1m`        | closed by "1" at the end; on /business           | okx/candle  |
 * | order_book | `books`           | in band, chained by `prevSeqId`                  | okx/books   |
 * |            | `books-l2-tbt`    | ... decoded, not subscribed: they want a login   | okx/tbt     |
 * |            | `books5`          | decoded, not subscribed: snapshots               | okx/books-five |
 * | -          | `notice`, ...     | and acknowledgements, refusals, `pong`           | okx/control |
 * | -          | GET instruments   | markets                                          | okx/markets |
 * | candles    | GET history-candles | newest first                                   | okx/history |
 *
 * Amounts of swaps are contracts. The checksum is 0 since 2026-06, which is none; archives before 2023
 * have nothing else. GET history-trades lists each match, so it cannot fill gaps among merged
 * trades: their volume would count twice. There is no trade history here.
 */
import type {
  Decoded,
  DecodedBook,
  DecodedCandle,
  Endpoint,
  RestRequest,
  SequenceVerdict,
  StreamKey,
  SubscribeFrame,
  WsAdapter,
} from '../adapter.ts';
import type { Channel, Instrument, Level } from '../events.ts';
import {
  array,
  crc32,
  decimal,
  epochMicros,
  idText,
  integer,
  integerText,
  levels,
  object,
  parseObject,
  positiveDecimal,
  precisionOf,
  refusedAnswer,
  type Row,
  ruleOf,
  shortText,
  side,
} from '../wire.ts';

/** The channel that each book is kept from, the first that sent one: several would mix. */
type State = Map<string, unknown>;

export const okx: WsAdapter<State> = {
  id: 'okx',
  urls: { ws: 'wss://ws.okx.com:8443', rest: 'https://www.okx.com' },
  channels: { trades: 'none', candles: 'none', order_book: 'sequence' },
  limits: {
    // All that a connection subscribes may name 64 KB.
    streamsPerConnection: 500,
    // 480 requests an hour, and more may not come at once.
    messagesPerSecond: 3,
    streamsPerFrame: 100,
    // 3 a second.
    connectionsPer5Minutes: 300,
    // OKX sets no age.
    connectionMaxAgeMs: 24 * 3_600_000,
    // 20 in 2 s, for each kind of request.
    restWeightPerMinute: 600,
  },

  venueSymbol: (base, quote, settle) => `${base}-${quote}${settle === undefined ? '' : '-SWAP'}`,
  endpoints,
  open: () => new Map(),
  subscribe: (streams) => requests('subscribe', streams),
  unsubscribe: (streams) => requests('unsubscribe', streams).map(({ text }) => text),
  decode: (frame, state) => (frame === 'pong' ? [] : decodeMessage(parseObject<Row>(frame), state)),
  // A connection that is silent for 30 s is closed.
  heartbeat: { everyMs: 20_000, text: 'ping' },
  candleClose: 'flag',
  book: { sequence: bookSequence, checksum: { levels: 25, of: checksum } },
  markets: {
    requests: [listOf('SPOT'), listOf('SWAP')],
    parse: (body) => dataOf(body).flatMap(instrument),
  },
  history: {
    candles: {
      maxRows: 100,
      request: (venueSymbol, from, to) => ({
        // Not `candles`, which ends after 1,440 minutes.
        path: '/api/v5/market/history-candles',
        // `after` is before, and both exclude.
        query: {
          instId: venueSymbol,
          bar: '1m',
          before: String(from / 1000 - 1),
          after: String(to / 1000 + 1),
          limit: '100',
        },
        weight: 1,
      }),
      parse: (body, venueSymbol) =>
        dataOf(body)
          .map((row) => candle(row, venueSymbol))
          .toReversed(),
      emptyMinutes: 'present',
    },
  },
};

const STREAM_OF: Record<Channel, string> = {
  trades: 'trades',
  candles: 'candle1m',
  order_book: 'books',
};

/** Candles have moved to a socket of their own, where there is nothing else of ours. */
function endpoints(streams: readonly StreamKey[]): Endpoint[] {
  const isCandle = ({ channel }: StreamKey) => channel === 'candles';
  return [
    { path: '/ws/v5/public', streams: streams.filter((stream) => !isCandle(stream)) },
    { path: '/ws/v5/business', streams: streams.filter(isCandle) },
  ].filter((endpoint) => endpoint.streams.length > 0);
}

function requests(op: string, streams: readonly StreamKey[]): SubscribeFrame[] {
  const frames: SubscribeFrame[] = [];
  const size = okx.limits.streamsPerFrame;
  for (let i = 0; i < streams.length; i += size) {
    const some = streams.slice(i, i + size);
    const args = some.map((s) => ({ channel: STREAM_OF[s.channel], instId: s.venueSymbol }));
    const awaits = args.map(({ channel, instId }) => `${channel} ${instId}`);
    frames.push({ text: JSON.stringify({ op, args }), streams: some, awaits });
  }
  return frames;
}

function decodeMessage(message: Row, state: State): readonly Decoded[] {
  if (message.event !== undefined) return answer(message);
  if (message.arg === undefined) return [];
  const { channel, instId } = object(message.arg, 'arg');
  const rows = () => array(message.data, 'data');
  switch (channel) {
    case 'trades':
    case 'trades-all':
      return rows().map(trade);
    case 'candle1m':
      return rows().map((row) => candle(row, shortText(instId, 'instId')));
    case 'books':
    case 'books-l2-tbt':
    case 'books50-l2-tbt':
    case 'books5': {
      const venueSymbol = shortText(instId, 'instId');
      if (!state.has(venueSymbol)) state.set(venueSymbol, channel);
      if (state.get(venueSymbol) !== channel) return [];
      const snapshot = channel === 'books5' || message.action === 'snapshot';
      return rows().map((row) => book(object(row, 'data'), venueSymbol, snapshot));
    }
    default:
      return [];
  }
}

function trade(value: unknown): Decoded {
  const row = object(value, 'data');
  return {
    kind: 'trade',
    venueSymbol: shortText(row.instId, 'instId'),
    tradeId: idText(row.tradeId, 'tradeId'),
    side: side(row.side, 'side', { buy: 'buy', sell: 'sell' }),
    price: positiveDecimal(row.px, 'px'),
    quantity: positiveDecimal(row.sz, 'sz'),
    time: epochMicros(integerText(row.ts, 'ts'), 'ts'),
  };
}

/** `[time, open, high, low, close, volume, ..., confirm]`, of the socket and of REST. */
function candle(value: unknown, venueSymbol: string): DecodedCandle {
  const row = array(value, 'data');
  return {
    kind: 'candle',
    venueSymbol,
    time: epochMicros(integerText(row[0], 'ts'), 'ts'),
    open: positiveDecimal(row[1], 'open'),
    high: positiveDecimal(row[2], 'high'),
    low: positiveDecimal(row[3], 'low'),
    close: positiveDecimal(row[4], 'close'),
    volume: decimal(row[5], 'volume'),
    trades: null,
    closed: row[8] === '1',
  };
}

function book(row: Row, venueSymbol: string, snapshot: boolean): DecodedBook {
  const { seqId, prevSeqId, checksum: crc } = row;
  const last = seqId === undefined ? 0 : integer(seqId, 'seqId');
  const chained = !snapshot && prevSeqId !== undefined;
  return {
    kind: 'book',
    venueSymbol,
    snapshot,
    first: last,
    last,
    ...(chained && { previous: integer(prevSeqId, 'prevSeqId') }),
    time: epochMicros(integerText(row.ts, 'ts'), 'ts'),
    bids: levels(row.bids, 'bids'),
    asks: levels(row.asks, 'asks'),
    // Signed; 0 is none.
    ...(!!crc && { checksum: integer(Number(crc) + (Number(crc) < 0 ? 2 ** 32 : 0), 'checksum') }),
  };
}

/**
 * By identity alone: ids jump, and start anew at a lower one after maintenance. A change of nothing,
 * sent once a minute, follows and leads to the same id. One that leads to where the book is already
 * was sent twice.
 */
function bookSequence(bookLast: number, { previous, last }: DecodedBook): SequenceVerdict {
  if (previous === undefined || previous === bookLast) return 'apply';
  return last === bookLast && previous < bookLast ? 'stale' : 'gap';
}

/** `bid:amount:ask:amount:...` of the 25 best; the longer side goes on alone. */
function checksum(bids: readonly Level[], asks: readonly Level[]): number {
  const ranks = Math.max(bids.length, asks.length);
  const levelsByRank = Array.from({ length: ranks }, (_, i) => [bids[i] ?? [], asks[i] ?? []]);
  return crc32(levelsByRank.flat(2).join(':'));
}

function answer({ event, arg, code, msg }: Row): readonly Decoded[] {
  switch (event) {
    case 'subscribe': {
      const { channel, instId } = object(arg, 'arg');
      return [{ kind: 'ack', id: `${String(channel)} ${String(instId)}` }];
    }
    case 'error': {
      // "channel:books,instId:XYZ-USDT doesn't exist": only the text says which of the frame.
      const [, channel, instId] = /channel:([\w-]+),\s*instId:([\w-]+)/.exec(String(msg)) ?? [];
      const id = channel === undefined ? null : `${channel} ${instId}`;
      return [{ kind: 'refused', id, reason: `${String(code)}: ${String(msg)}` }];
    }
    case 'notice':
      // 64008: the connection will be closed for an upgrade.
      return code === '64008' ? [{ kind: 'reconnect' }] : [];
    default:
      return [];
  }
}

/** Of a REST answer; errors come with status 200. */
function dataOf(body: string): readonly unknown[] {
  const { code, msg, data } = parseObject<Row>(body);
  if (code !== '0') throw refusedAnswer(`${String(code)}: ${String(msg)}`);
  return array(data, 'data');
}

function listOf(instType: string): RestRequest {
  return { path: '/api/v5/public/instruments', query: { instType }, weight: 1 };
}

function instrument(value: unknown): Instrument[] {
  const row = object(value, 'data');
  const isSwap = row.instType === 'SWAP';
  // A swap has no currencies of its own: `uly` is what it follows, BTC-USDT.
  const [base, quote] = isSwap ? String(row.uly).split('-') : [row.baseCcy, row.quoteCcy];
  if ((row.instType !== 'SPOT' && !isSwap) || !base || !quote) return [];
  const pair = { base: shortText(base, 'base'), quote: shortText(quote, 'quote') };
  const settle = isSwap ? `:${shortText(row.settleCcy, 'settleCcy')}` : '';
  return [
    {
      symbol: `${pair.base}/${pair.quote}${settle}`,
      venueSymbol: shortText(row.instId, 'instId'),
      ...pair,
      // preopen, suspend, rebase, test.
      status: row.state === 'live' ? 'active' : 'inactive',
      minOrderSize: ruleOf(row.minSz, 'minSz'),
      maxOrderSize: ruleOf(row.maxLmtSz, 'maxLmtSz'),
      pricePrecision: precisionOf(ruleOf(row.tickSz, 'tickSz')),
      quantityPrecision: precisionOf(ruleOf(row.lotSz, 'lotSz')),
    },
  ];
}
