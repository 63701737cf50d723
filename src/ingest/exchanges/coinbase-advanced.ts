/**
 * Coinbase Advanced Trade, the market data that needs no key.
 * https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
 *
 * | channel    | stream          | role                                          | fixture                    |
 * | ---------- | --------------- | --------------------------------------------- | -------------------------- |
 * | trades     | `market_trades` | ids consecutive; `side` is the maker's        | coinbase-advanced/trades   |
 * | candles    | GET candles     | made of the trades, verified here: the stream | coinbase-advanced/candles  |
 * |            | `candles`       | has 5 minutes only and is not subscribed      | coinbase-advanced/control  |
 * | order_book | `level2`        | comes as `l2_data`: snapshot, then changes    | coinbase-advanced/level    |
 * | -          | `sequence_num`  | counts every frame of a connection            | coinbase-advanced/sequence |
 * | -          | `heartbeats`    | without it quiet channels are closed          | coinbase-advanced/control  |
 * | -          | `subscriptions` | the whole list after each request             | coinbase-advanced/control  |
 * | -          | GET products    | markets                                       | coinbase-advanced/markets  |
 */
import type { Decoded, DecodedTrade, StreamKey, SubscribeFrame, WsAdapter } from '../adapter.ts';
import type { Channel, Side } from '../events.ts';
import * as sent from '../trade-pattern.ts';
import {
  array,
  integer,
  isoMicros,
  levels,
  object,
  parseObject,
  type Row,
  said,
  shortText,
  side,
} from '../wire.ts';
import { tradeOf } from './coinbase.ts';
import { history, markets } from './coinbase-advanced-rest.ts';

interface State {
  /** `sequence_num` of the last frame that could be read. */
  last: number | null;
  heartbeats: boolean;
}

/** A snapshot is the whole book; 44,067 levels have been seen. */
const MAX_LEVELS = 200_000;
/** Of one frame; one is usual. */
const MAX_EVENTS = 1_000;

export const coinbaseAdvanced: WsAdapter<State> = {
  id: 'coinbase-advanced',
  urls: { ws: 'wss://advanced-trade-ws.coinbase.com', rest: 'https://api.coinbase.com' },
  channels: { trades: 'ids', candles: 'ids', order_book: 'sequence' },
  limits: {
    // A frame that is lost costs every book of its connection.
    streamsPerConnection: 40,
    // 8 are allowed.
    messagesPerSecond: 6,
    streamsPerFrame: 20,
    connectionsPer5Minutes: 600,
    connectionMaxAgeMs: 24 * 3_600_000,
    restWeightPerMinute: 600,
  },
  transport: { maxPayloadBytes: 64 * 1024 * 1024 },

  venueSymbol: (base, quote) => `${base}-${quote}`,
  endpoints: (streams) => [{ path: '', streams }],
  open: () => ({ last: null, heartbeats: false }),
  subscribe: subscribeFrames,
  unsubscribe: (streams) => byChannel(streams).map((some) => request('unsubscribe', some)),
  decode,
  candleClose: 'trades',
  markets,
  history,
};

/** There are no candles of a minute to subscribe: trades are what they are made of. */
const STREAM_OF: Record<Channel, string> = {
  trades: 'market_trades',
  candles: 'market_trades',
  order_book: 'level2',
};

/** One channel a frame. */
function subscribeFrames(streams: readonly StreamKey[], state: State): SubscribeFrame[] {
  const frames = byChannel(streams).map((some) => ({
    text: request('subscribe', some),
    streams: some,
    awaits: some.map(({ channel, venueSymbol }) => `${STREAM_OF[channel]}:${venueSymbol}`),
  }));
  if (state.heartbeats) return frames;
  state.heartbeats = true;
  const text = JSON.stringify({ type: 'subscribe', channel: 'heartbeats' });
  return [{ text, streams: [], awaits: ['heartbeats:heartbeats'] }, ...frames];
}

function byChannel(streams: readonly StreamKey[]): StreamKey[][] {
  const size = coinbaseAdvanced.limits.streamsPerFrame;
  return [...Map.groupBy(streams, ({ channel }) => STREAM_OF[channel]).values()].flatMap((of) =>
    Array.from({ length: Math.ceil(of.length / size) }, (_, i) =>
      of.slice(i * size, (i + 1) * size),
    ),
  );
}

/** Of streams of one channel. */
function request(type: string, streams: readonly StreamKey[]): string {
  const channel = STREAM_OF[streams[0]?.channel ?? 'trades'];
  const products = streams.map(({ venueSymbol }) => venueSymbol);
  return JSON.stringify({ type, product_ids: products, channel });
}

const TRADES = {
  channel: '"market_trades"',
  sequence_num: sent.INTEGER,
  events: sent.LIST,
};
const UPDATE = { type: '"update"', trades: sent.LIST };
const tradesAsSent = sent.tradePattern({
  before: sent.openMembers(TRADES, ['type']) + sent.openMembers(UPDATE),
  row: sent.members({
    product_id: sent.text('venueSymbol'),
    trade_id: sent.integerText('tradeId'),
    price: sent.decimalText('price'),
    size: sent.decimalText('quantity'),
    time: sent.text('time'),
    side: sent.eitherOf('side', '"BUY"', '"SELL"'),
  }),
  after:
    sent.LIST_END + sent.closeMembers(UPDATE) + sent.LIST_END + sent.closeMembers(TRADES, ['type']),
  buy: '"SELL"',
  micros: (time) => isoMicros(time, 'time'),
});
const SEQUENCE = /"sequence_num": ?(\d+)/;

/** A frame that cannot be read is not counted as seen, so that the next one shows the hole. */
function decode(frame: string, state: State): readonly Decoded[] {
  const newest = tradesAsSent(frame);
  if (newest) return inSequence(newest.toReversed(), Number(SEQUENCE.exec(frame)?.[1]), state);
  const message = parseObject<Message>(frame);
  if (message.type === 'error') {
    return [{ kind: 'refused', id: null, reason: said(message.message) }];
  }
  return inSequence(decodeEvents(message), message.sequence_num, state);
}

function inSequence(
  decoded: readonly Decoded[],
  sequence: unknown,
  state: State,
): readonly Decoded[] {
  const { last } = state;
  state.last = integer(sequence, 'sequence_num');
  if (last === null || state.last === last + 1) return decoded;
  const reason = `sequence_num ${state.last} follows ${last}`;
  return [{ kind: 'gap', venueSymbol: null, reason }, ...decoded];
}

function decodeEvents(message: Message): Decoded[] {
  const events = () =>
    array(message.events, 'events', MAX_EVENTS).map((event) => object(event, 'event'));
  switch (message.channel) {
    case 'market_trades':
      return events().flatMap(trades);
    case 'l2_data':
      return events().map((event) => book(event, message.timestamp));
    case 'subscriptions':
      return events().flatMap(acknowledgements);
    default:
      return [];
  }
}

/** Newest first; on subscribing the latest ones. */
function trades(event: Row): Decoded[] {
  const backlog = event.type === 'snapshot' ? { backlog: true as const } : {};
  return array(event.trades, 'trades')
    .map((row) => ({ ...trade(object(row, 'trade')), ...backlog }))
    .toReversed();
}

function trade(row: Row): DecodedTrade {
  return tradeOf(row, row.product_id, { BUY: 'sell', SELL: 'buy' });
}

function book(event: Row, timestamp: unknown): Decoded {
  const updates = array(event.updates, 'updates', 2 * MAX_LEVELS).map((row) =>
    object(row, 'update'),
  );
  const of = (wanted: Side) =>
    updates
      .filter((row) => side(row.side, 'side', { bid: 'buy', offer: 'sell' }) === wanted)
      .map((row) => [row.price_level, row.new_quantity]);
  return {
    kind: 'book',
    venueSymbol: shortText(event.product_id, 'product_id'),
    snapshot: event.type === 'snapshot',
    // `sequence_num` is not the book's; `decode` looks after it.
    first: 0,
    last: 0,
    time: isoMicros(timestamp, 'timestamp'),
    bids: levels(of('buy'), 'bids', MAX_LEVELS),
    asks: levels(of('sell'), 'asks', MAX_LEVELS),
  };
}

function acknowledgements(event: Row): Decoded[] {
  return Object.entries(object(event.subscriptions, 'subscriptions')).flatMap(([channel, names]) =>
    array(names, 'names').map((name): Decoded => {
      return { kind: 'ack', id: `${channel}:${shortText(name, 'name')}` };
    }),
  );
}

interface Message {
  readonly channel?: unknown;
  readonly type?: unknown;
  readonly message?: unknown;
  readonly timestamp?: unknown;
  readonly sequence_num?: unknown;
  readonly events?: unknown;
}
