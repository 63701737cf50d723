/**
 * Coinbase Exchange. https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
 *
 * | channel    | stream          | role                                         | fixture                       |
 * | ---------- | --------------- | -------------------------------------------- | ----------------------------- |
 * | trades     | `matches`       | ids consecutive; `side` is the maker's       | coinbase-exchange/match       |
 * |            | GET trades      | by id, newest first                          | coinbase-exchange/trades-rest |
 * | candles    | GET candles     | no stream: made of the trades, verified here | coinbase-exchange/candles     |
 * | order_book | `level2_batch`  | snapshot, then changes; nothing to check by  | coinbase-exchange/level       |
 * | -          | `heartbeat`     | keeps a connection of quiet products heard   | coinbase-exchange/control     |
 * | -          | `subscriptions` | the whole list after each request; refusals  | coinbase-exchange/control     |
 * | -          | GET products    | markets                                      | coinbase-exchange/markets     |
 */
import type { Decoded, StreamKey, SubscribeFrame, WsAdapter } from '../adapter.ts';
import type { Channel, Side } from '../events.ts';
import * as sent from '../trade-pattern.ts';
import {
  array,
  isoMicros,
  levels,
  object,
  parseObject,
  type Row,
  said,
  shortText,
  side,
} from '../wire.ts';
import { history, markets, trade } from './coinbase-exchange-rest.ts';

interface State {
  /** What acknowledgements are awaited for; a refusal names no more than the product. */
  readonly asked: Set<string>;
}

/** A snapshot is the whole book: more than 20,000 levels a side for the large products. */
const MAX_LEVELS = 200_000;

export const coinbaseExchange: WsAdapter<State> = {
  id: 'coinbase-exchange',
  urls: {
    ws: 'wss://ws-feed.exchange.coinbase.com',
    rest: 'https://api.exchange.coinbase.com',
  },
  channels: { trades: 'ids', candles: 'ids', order_book: 'none' },
  limits: {
    // None is documented; the documentation asks to spread products over connections.
    streamsPerConnection: 100,
    // 100 are allowed.
    messagesPerSecond: 50,
    // One product a frame: a product that is refused takes no other with it.
    streamsPerFrame: 3,
    connectionsPer5Minutes: 600,
    connectionMaxAgeMs: 24 * 3_600_000,
    restWeightPerMinute: 600,
  },
  transport: { perMessageDeflate: true, maxPayloadBytes: 32 * 1024 * 1024 },

  venueSymbol: (base, quote) => `${base}-${quote}`,
  endpoints: (streams) => [{ path: '', streams }],
  open: () => ({ asked: new Set() }),
  subscribe: requests,
  unsubscribe: (streams) =>
    streams.map(({ channel, venueSymbol }) =>
      request('unsubscribe', venueSymbol, [STREAM_OF[channel]]),
    ),
  decode,
  candleClose: 'trades',
  markets,
  history,
};

/** There are no candles to subscribe: trades are what they are made of. */
const STREAM_OF: Record<Channel, string> = {
  trades: 'matches',
  candles: 'matches',
  order_book: 'level2_batch',
};

function requests(streams: readonly StreamKey[], { asked }: State): SubscribeFrame[] {
  const products = Map.groupBy(streams, ({ venueSymbol }) => venueSymbol);
  return [...products].map(([product, of]) => {
    const channels = ['heartbeat', ...new Set(of.map(({ channel }) => STREAM_OF[channel]))];
    const awaits = channels.map((channel) => ackId(channel, product));
    for (const id of awaits) asked.add(id);
    return { text: request('subscribe', product, channels), streams: of, awaits };
  });
}

function request(type: string, product: string, channels: readonly string[]): string {
  return JSON.stringify({ type, product_ids: [product], channels });
}

/** Of the level2 family, because `level2_batch` is acknowledged as `level2_50`. */
function ackId(channel: string, product: string): string {
  return `${channel.startsWith('level2') ? 'level2' : channel}:${product}`;
}

/** The maker's side, so that a taker who bought met one who sold. */
const matchAsSent = sent.tradePattern({
  row: sent.members({
    type: '"match"',
    trade_id: sent.integerNumber('tradeId'),
    side: sent.eitherOf('side', '"buy"', '"sell"'),
    size: sent.decimalText('quantity'),
    price: sent.decimalText('price'),
    product_id: sent.text('venueSymbol'),
    time: sent.text('time'),
  }),
  buy: '"sell"',
  micros: (time) => isoMicros(time, 'time'),
});

function decode(frame: string, state: State): readonly Decoded[] {
  const match = matchAsSent(frame);
  if (match) return match;
  const message = parseObject<Row>(frame);
  switch (message.type) {
    case 'match':
      return [trade(message, message.product_id)];
    case 'last_match':
      return [{ ...trade(message, message.product_id), backlog: true }];
    case 'snapshot':
      return [snapshot(message)];
    case 'l2update':
      return [change(message)];
    case 'subscriptions':
      return acknowledgements(message);
    case 'error':
      return refusals(message, state);
    default:
      return [];
  }
}

const UNNUMBERED = { first: 0, last: 0 };

function snapshot(message: Row): Decoded {
  return {
    kind: 'book',
    venueSymbol: shortText(message.product_id, 'product_id'),
    snapshot: true,
    ...UNNUMBERED,
    time: null,
    bids: levels(message.bids, 'bids', MAX_LEVELS),
    asks: levels(message.asks, 'asks', MAX_LEVELS),
  };
}

/**
 * No number would tell that a change is missing, so one that cannot be read (sizes of NaN and below
 * zero have been seen) costs the book. Also seen is the year 1, for a time that is not known.
 */
function change(message: Row): Decoded {
  const venueSymbol = shortText(message.product_id, 'product_id');
  try {
    const changes = array(message.changes, 'changes').map((row) => array(row, 'change'));
    const of = (wanted: Side) =>
      changes
        .filter(([word]) => side(word, 'side', { buy: 'buy', sell: 'sell' }) === wanted)
        .map(([, ...level]) => level);
    return {
      kind: 'book',
      venueSymbol,
      snapshot: false,
      ...UNNUMBERED,
      time: said(message.time).startsWith('0001-') ? null : isoMicros(message.time, 'time'),
      bids: levels(of('buy'), 'bids'),
      asks: levels(of('sell'), 'asks'),
    };
  } catch (error) {
    return { kind: 'gap', venueSymbol, reason: (error as Error).message };
  }
}

function acknowledgements(message: Row): Decoded[] {
  return array(message.channels, 'channels').flatMap((entry) => {
    const { name, product_ids: products } = object(entry, 'channel');
    return array(products, 'product_ids').map((product): Decoded => {
      const id = ackId(shortText(name, 'name'), shortText(product, 'product_ids'));
      return { kind: 'ack', id };
    });
  });
}

/** `{"message":"Failed to subscribe","reason":"XYZ-USD is not a valid product"}` */
function refusals(message: Row, { asked }: State): Decoded[] {
  const reason = [message.message, message.reason].filter(Boolean).map(said).join(': ');
  const [product = ''] = said(message.reason).split(' ');
  const ids = [...asked].filter((id) => id.endsWith(`:${product}`));
  if (ids.length === 0) return [{ kind: 'refused', id: null, reason }];
  return ids.map((id) => ({ kind: 'refused', id, reason }));
}
