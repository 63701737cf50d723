/**
 * Kraken spot, WebSocket v2. https://docs.kraken.com/exchange/api-reference/spot-websocket-v2
 *
 * | channel    | stream             | role                                         | fixture         |
 * | ---------- | ------------------ | -------------------------------------------- | --------------- |
 * | trades     | `trade`            | ids consecutive per symbol                   | kraken/trade    |
 * | candles    | `ohlc`, interval 1 | no closed flag; `trades` is their number     | kraken/ohlc     |
 * | order_book | `book`             | in band, CRC32 of the 10 best after a change | kraken/book     |
 * | -          | `status`, ...      | and acknowledgements, refusals               | kraken/control  |
 * | -          | GET AssetPairs     | markets                                      | kraken/markets  |
 * | candles    | GET OHLC           | the newest 720, whatever is asked for        | kraken/history  |
 *
 * Prices and amounts are JSON numbers whose trailing zeros count: the checksum is over their digits.
 * GET Trades pages by nanoseconds, not by id, so there is no trade history here.
 */
import type { WsAdapter } from '../adapter.ts';
import { history, markets } from './kraken-rest.ts';
import { checksum, decodeFrame, depthFor, requests, type State } from './kraken-streams.ts';

const STREAMS_PER_FRAME = 100;

export const kraken: WsAdapter<State> = {
  id: 'kraken',
  urls: { ws: 'wss://ws.kraken.com', rest: 'https://api.kraken.com' },
  channels: { trades: 'ids', candles: 'none', order_book: 'checksum' },
  limits: {
    streamsPerConnection: 300,
    // "Dynamic", says Kraken, and no number.
    messagesPerSecond: 5,
    streamsPerFrame: STREAMS_PER_FRAME,
    // Cloudflare stops an address at about 150 in 10 minutes.
    connectionsPer5Minutes: 60,
    // Kraken sets no age.
    connectionMaxAgeMs: 24 * 3_600_000,
    restWeightPerMinute: 60,
  },

  venueSymbol: (base, quote) => `${base}/${quote}`,
  endpoints: (streams) => [{ path: '/v2', streams }],
  open: ({ bookDepth }) => ({
    nextRequestId: 1,
    depth: depthFor(bookDepth),
    acknowledged: new Map(),
  }),
  subscribe: (streams, state) => requests('subscribe', streams, state, STREAMS_PER_FRAME),
  unsubscribe: (streams, state) =>
    requests('unsubscribe', streams, state, STREAMS_PER_FRAME).map(({ text }) => text),
  decode: decodeFrame,
  candleClose: 'next-open',
  book: { checksum: { levels: 10, of: checksum } },
  markets,
  history,
};
