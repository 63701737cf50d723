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
import type { WsAdapter } from '../adapter.ts';
import { history, markets } from './okx-rest.ts';
import {
  bookSequence,
  checksum,
  decodeFrame,
  endpoints,
  requests,
  type State,
} from './okx-streams.ts';

const STREAMS_PER_FRAME = 100;

export const okx: WsAdapter<State> = {
  id: 'okx',
  urls: { ws: 'wss://ws.okx.com:8443', rest: 'https://www.okx.com' },
  channels: { trades: 'none', candles: 'none', order_book: 'sequence' },
  limits: {
    // All that a connection subscribes may name 64 KB.
    streamsPerConnection: 500,
    // 480 requests an hour, and more may not come at once.
    messagesPerSecond: 3,
    streamsPerFrame: STREAMS_PER_FRAME,
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
  subscribe: (streams) => requests('subscribe', streams, STREAMS_PER_FRAME),
  unsubscribe: (streams) =>
    requests('unsubscribe', streams, STREAMS_PER_FRAME).map(({ text }) => text),
  decode: decodeFrame,
  // A connection that is silent for 30 s is closed.
  heartbeat: { everyMs: 20_000, text: 'ping' },
  candleClose: 'flag',
  book: { sequence: bookSequence, checksum: { levels: 25, of: checksum } },
  markets,
  history,
};
