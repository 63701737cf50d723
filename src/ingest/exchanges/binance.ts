/**
 * Binance spot. https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
 *
 * | channel    | stream               | role                                     | fixture                     |
 * | ---------- | -------------------- | ---------------------------------------- | --------------------------- |
 * | trades     | `<s>@trade`          | ids consecutive per symbol               | binance/trade               |
 * |            | `<s>@aggTrade`       | decoded, not subscribed: other id space  | binance/agg-trade           |
 * |            | GET historicalTrades | repair by id                             | binance/trade-history       |
 * | candles    | `<s>@kline_1m`       | closed by flag `x`, trade count `n`      | binance/kline               |
 * |            | GET klines           | repair                                   | binance/candle-history      |
 * | order_book | `<s>@depth@100ms`    | diffs, `U` = previous `u` + 1            | binance/depth               |
 * |            | GET depth            | the snapshot that the diffs continue     | binance/depth-rest          |
 * | -          | `!serverShutdown`    | and acknowledgements, refusals           | binance/control             |
 * | -          | GET exchangeInfo     | markets                                  | binance/markets             |
 */
import type { WsAdapter } from '../adapter.ts';
import type { Channel } from '../events.ts';
import { depthSeed, historicalTrades, klines, parseMarkets } from './binance-rest.ts';
import { bookSequence, decodeFrame, type State, subscribeFrames } from './binance-streams.ts';

const STREAM_OF: Readonly<Record<Channel, string>> = {
  trades: '@trade',
  candles: '@kline_1m',
  order_book: '@depth@100ms',
};

const STREAMS_PER_FRAME = 200;

export const binance = {
  id: 'binance',
  urls: { ws: 'wss://stream.binance.com:9443', rest: 'https://api.binance.com' },
  channels: { trades: 'ids', candles: 'none', order_book: 'sequence' },
  limits: {
    streamsPerConnection: 1000,
    // The exchange allows 5, and counts our pongs too.
    messagesPerSecond: 4,
    streamsPerFrame: STREAMS_PER_FRAME,
    connectionsPer5Minutes: 300,
    connectionMaxAgeMs: 24 * 3_600_000,
    restWeightPerMinute: 6000,
  },

  venueSymbol: (base, quote) => `${base}${quote}`,
  // Combined streams wrap each payload; subscriptions follow as frames, where they can be awaited.
  endpoints: (streams) => [{ path: '/stream', streams }],
  open: () => ({ nextRequestId: 1 }),
  subscribe: (streams, state) => subscribeFrames(streams, state, STREAM_OF, STREAMS_PER_FRAME),
  decode: decodeFrame,
  candleClose: 'flag',
  book: {
    sequence: bookSequence,
    // 1000 cost a fifth of 5000 and last until the price has moved past most of them.
    seed: depthSeed(
      '/api/v3/depth',
      (depth) => (depth <= 100 ? 1000 : 5000),
      (limit) => limit / 20,
    ),
  },
  markets: {
    requests: [{ path: '/api/v3/exchangeInfo', query: {}, weight: 20 }],
    parse: (body) =>
      parseMarkets(body, ({ baseAsset, quoteAsset }) => `${baseAsset}/${quoteAsset}`),
  },
  history: {
    candles: klines({ path: '/api/v3/klines', maxRows: 1000, weight: 2 }),
    trades: historicalTrades({ path: '/api/v3/historicalTrades', maxRows: 1000, weight: 25 }),
  },
} satisfies WsAdapter<State>;
