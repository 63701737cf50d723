/**
 * Binance USD-M futures.
 * https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
 *
 * | channel    | stream            | role                                        | fixture                      |
 * | ---------- | ----------------- | ------------------------------------------- | ---------------------------- |
 * | trades     | `<s>@aggTrade`    | ids consecutive per symbol                  | binance-usdm/agg-trade       |
 * |            | `<s>@trade`       | decoded, not subscribed: undocumented,      | binance-usdm/trade           |
 * |            |                   | other id space, some ids without a trade    |                              |
 * |            | GET aggTrades     | repair by id, of the last 48 h              | binance-usdm/trade-history   |
 * | candles    | `<s>@kline_1m`    | closed by flag `x`, trade count `n`         | binance-usdm/kline           |
 * |            | GET klines        | repair                                      | binance-usdm/candle-history  |
 * | order_book | `<s>@depth@100ms` | diffs, `pu` = previous `u`; the first after | binance-usdm/depth           |
 * |            |                   | the snapshot may straddle it                |                              |
 * |            | `<s>@depth20`     | not a diff, left out                        | binance-usdm/depth-partial   |
 * |            | GET depth         | the snapshot that the diffs continue        | binance-usdm/depth-rest      |
 * | -          | -                 | acknowledgements, refusals, the heartbeat   | binance-usdm/control         |
 * | -          | GET exchangeInfo  | markets: perpetual and dated contracts      | binance-usdm/markets         |
 */
import type { StreamKey, WsAdapter } from '../adapter.ts';
import type { Channel } from '../events.ts';
import { aggregateTrades, depthSeed, klines, parseMarkets } from './binance-rest.ts';
import {
  bookSequence,
  decodeFrame,
  listingHeartbeat,
  type State,
  subscribeFrames,
} from './binance-streams.ts';

const STREAM_OF: Readonly<Record<Channel, string>> = {
  trades: '@aggTrade',
  candles: '@kline_1m',
  order_book: '@depth@100ms',
};

const STREAMS_PER_FRAME = 100;

export const binanceUsdm: WsAdapter<State> = {
  id: 'binance-usdm',
  urls: { ws: 'wss://fstream.binance.com', rest: 'https://fapi.binance.com' },
  channels: { trades: 'ids', candles: 'none', order_book: 'sequence' },
  limits: {
    // The documentation says 1024, or 200.
    streamsPerConnection: 200,
    // The exchange allows 10, and counts our pongs too.
    messagesPerSecond: 8,
    streamsPerFrame: STREAMS_PER_FRAME,
    connectionsPer5Minutes: 300,
    connectionMaxAgeMs: 24 * 3_600_000,
    restWeightPerMinute: 2400,
  },

  // BTC/USDT:USDT is BTCUSDT, BTC/USDT:USDT-260925 is BTCUSDT_260925.
  venueSymbol(base, quote, settle = '') {
    const [, expiry] = settle.split('-');
    return `${base}${quote}${expiry === undefined ? '' : `_${expiry}`}`;
  },
  // A stream that is asked for on the wrong path is acknowledged, and silent.
  endpoints: (streams) => [
    { path: '/public/stream', streams: streams.filter(isBook) },
    { path: '/market/stream', streams: streams.filter((stream) => !isBook(stream)) },
  ],
  open: () => ({ nextRequestId: 1 }),
  subscribe: (streams, state) => subscribeFrames(streams, state, STREAM_OF, STREAMS_PER_FRAME),
  decode: decodeFrame,
  heartbeat: listingHeartbeat,
  candleClose: 'flag',
  book: {
    sequence: bookSequence,
    seed: depthSeed(
      '/fapi/v1/depth',
      () => 1000,
      () => 20,
    ),
  },
  markets: {
    requests: [{ path: '/fapi/v1/exchangeInfo', query: {}, weight: 1 }],
    parse: (body) =>
      parseMarkets(body, ({ symbol, baseAsset, quoteAsset, marginAsset = quoteAsset }) => {
        const [, expiry] = symbol.split('_');
        return `${baseAsset}/${quoteAsset}:${marginAsset}${expiry === undefined ? '' : `-${expiry}`}`;
      }),
  },
  history: {
    candles: klines({ path: '/fapi/v1/klines', maxRows: 1000, weight: 5 }),
    trades: aggregateTrades({ path: '/fapi/v1/aggTrades', maxRows: 1000, weight: 20 }),
  },
};

function isBook({ channel }: StreamKey): boolean {
  return channel === 'order_book';
}
