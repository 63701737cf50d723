/**
 * Binance.US: the protocol of Binance spot as of 2023, its own hosts, limits and weights.
 * https://docs.binance.us
 *
 * | channel    | stream            | role                                      | fixture                    |
 * | ---------- | ----------------- | ----------------------------------------- | -------------------------- |
 * | trades     | `<s>@trade`       | ids consecutive; older trades need a key  | binance-us/trade           |
 * |            | `<s>@aggTrade`    | decoded, not subscribed: other id space   | binance-us/agg-trade       |
 * | candles    | `<s>@kline_1m`    | closed by flag `x`, trade count `n`       | binance-us/kline           |
 * |            | GET klines        | repair                                    | binance-us/candle-history  |
 * | order_book | `<s>@depth@100ms` | diffs, `U` = previous `u` + 1             | binance-us/depth           |
 * |            | GET depth         | the snapshot that the diffs continue      | binance-us/depth-rest      |
 * | -          | -                 | acknowledgements, refusals, the heartbeat | binance-us/control         |
 * | -          | GET exchangeInfo  | markets                                   | binance-us/markets         |
 */
import type { WsAdapter } from '../adapter.ts';
import { binance } from './binance.ts';
import { depthSeed, klines } from './binance-rest.ts';
import { listingHeartbeat, type State } from './binance-streams.ts';

const { book, limits, markets } = binance;

export const binanceUs: WsAdapter<State> = {
  ...binance,
  id: 'binance-us',
  urls: { ws: 'wss://stream.binance.us:9443', rest: 'https://api.binance.us' },
  limits: { ...limits, restWeightPerMinute: 1200 },
  heartbeat: listingHeartbeat,
  book: {
    ...book,
    seed: depthSeed('/api/v3/depth', book.seed.levels, (limit) => limit / 100),
  },
  markets: {
    ...markets,
    requests: [{ path: '/api/v3/exchangeInfo', query: {}, weight: 10 }],
  },
  // historicalTrades asks for a key here, and the ids of aggTrades are others.
  history: { candles: klines({ path: '/api/v3/klines', maxRows: 1000, weight: 1 }) },
};
