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
import type { Decoded, DecodedCandle, StreamKey, SubscribeFrame, WsAdapter } from '../adapter.ts';
import type { Channel, Instrument, Side } from '../events.ts';
import {
  array,
  epochMicros,
  idText,
  integerText,
  isoMicros,
  isoText,
  levels,
  object,
  parseArray,
  parseDigits,
  parseObject,
  plainDecimal,
  positiveDecimal,
  precisionOf,
  type Row,
  ruleOf,
  shortText,
  side,
} from '../wire.ts';

interface State {
  /** What acknowledgements are awaited for; a refusal names no more than the product. */
  readonly asked: Set<string>;
}

/** A snapshot is the whole book: more than 20,000 levels a side for the large products. */
const MAX_LEVELS = 200_000;
const TRADES_PER_ANSWER = 1000;

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
  markets: {
    requests: [{ path: '/products', query: {}, weight: 1 }],
    parse: (body) => parseArray(body).flatMap((product) => instrument(object(product, 'product'))),
  },
  history: {
    candles: {
      maxRows: 300,
      request: (venueSymbol, from, to) => ({
        path: `/products/${venueSymbol}/candles`,
        query: { granularity: '60', start: isoText(from), end: isoText(to) },
        weight: 1,
      }),
      parse: (body, venueSymbol) =>
        array(parseDigits(body), 'candles')
          .map((row) => candle(array(row, 'candle'), venueSymbol))
          .toReversed(),
      emptyMinutes: 'absent',
    },
    trades: {
      maxRows: TRADES_PER_ANSWER,
      // `before` would give the newest ones, however far from the id; `after` the ones below it.
      request: (venueSymbol, fromId) => ({
        path: `/products/${venueSymbol}/trades`,
        query: {
          after: String(BigInt(fromId) + BigInt(TRADES_PER_ANSWER)),
          limit: String(TRADES_PER_ANSWER),
        },
        weight: 1,
      }),
      newest: (venueSymbol) => ({
        path: `/products/${venueSymbol}/trades`,
        query: { limit: '1' },
        weight: 1,
      }),
      parse: (body, venueSymbol) =>
        parseArray(body)
          .map((row) => trade(object(row, 'trade'), venueSymbol))
          .toReversed(),
    },
  },
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

function decode(frame: string, state: State): readonly Decoded[] {
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

function trade(message: Row, product: unknown) {
  return {
    kind: 'trade' as const,
    venueSymbol: shortText(product, 'product_id'),
    tradeId: idText(message.trade_id, 'trade_id'),
    // The maker's: whose order was sold into, the taker sold.
    side: side(message.side, 'side', { buy: 'sell', sell: 'buy' }),
    price: positiveDecimal(message.price, 'price'),
    quantity: positiveDecimal(message.size, 'size'),
    time: isoMicros(message.time, 'time'),
  };
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
      time: String(message.time).startsWith('0001-') ? null : isoMicros(message.time, 'time'),
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
  const reason = [message.message, message.reason].filter(Boolean).join(': ');
  const [product = ''] = String(message.reason).split(' ');
  const ids = [...asked].filter((id) => id.endsWith(`:${product}`));
  if (ids.length === 0) return [{ kind: 'refused', id: null, reason }];
  return ids.map((id) => ({ kind: 'refused', id, reason }));
}

/** `[time, low, high, open, close, volume]` */
function candle(row: readonly unknown[], venueSymbol: string): DecodedCandle {
  return {
    kind: 'candle',
    venueSymbol,
    time: epochMicros(integerText(row[0], 'time') * 1000, 'time'),
    open: plainDecimal(row[3], 'open'),
    high: plainDecimal(row[2], 'high'),
    low: plainDecimal(row[1], 'low'),
    close: plainDecimal(row[4], 'close'),
    volume: plainDecimal(row[5], 'volume'),
    trades: null,
    closed: true,
  };
}

function instrument(product: Row): Instrument[] {
  const { id, base_currency: base, quote_currency: quote, status } = product;
  if (typeof base !== 'string' || typeof quote !== 'string') return [];
  const open = status === 'online' && product.trading_disabled !== true;
  return [
    {
      symbol: `${base}/${quote}`,
      venueSymbol: shortText(id, 'id'),
      base,
      quote,
      status: open ? 'active' : status === 'delisted' ? 'deprecated' : 'inactive',
      // Sizes had limits until 2022; today's is `min_market_funds`, in the other currency.
      minOrderSize: ruleOf(product.base_min_size, 'base_min_size'),
      maxOrderSize: ruleOf(product.base_max_size, 'base_max_size'),
      pricePrecision: precisionOf(ruleOf(product.quote_increment, 'quote_increment')),
      quantityPrecision: precisionOf(ruleOf(product.base_increment, 'base_increment')),
    },
  ];
}
