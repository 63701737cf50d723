/**
 * ccxt's REST in the terms of an adapter, so that market lists and the comparison of candles with
 * their history work as for one: a request names what ccxt is called for, an answer is its JSON.
 */
import { once } from 'node:events';
import type { Config } from '../config.ts';
import type { RestRequest, WsAdapter } from './adapter.ts';
import { candleOf, instrumentOf } from './ccxt-decode.ts';
import type { CcxtExchange, CcxtInstance } from './ccxt-exchange.ts';
import { MINUTE } from './minutes.ts';
import type { Rest } from './rest.ts';
import { parseArray } from './wire.ts';

export interface CcxtRest {
  readonly adapter: Pick<
    WsAdapter,
    'id' | 'channels' | 'candleClose' | 'venueSymbol' | 'markets' | 'history'
  >;
  readonly rest: Pick<Rest, 'get'>;
  /** Gives a new instance the markets, which are loaded once. */
  shareMarkets(instance: CcxtInstance): Promise<void>;
}

const CANDLES_PER_ANSWER = 100;

export function createCcxtRest(exchange: CcxtExchange, config: Pick<Config, 'connection'>) {
  const { wsUrl, restUrl } = config.connection;
  // ccxt computes with the rules of markets; of candles it need not touch the digits.
  const lists = exchange.create({ number: Number, wsUrl, restUrl });
  const history = exchange.create({ number: String, wsUrl, restUrl });
  const { precisionMode } = lists;

  async function shareMarkets(instance: CcxtInstance): Promise<void> {
    // Without `true` a first failure would be its answer for ever.
    if (!lists.markets) await lists.loadMarkets(true);
    instance.setMarketsFromExchange(lists);
  }

  async function answer({ path, query }: RestRequest): Promise<unknown> {
    if (path === 'markets') return Object.values(await lists.loadMarkets(true));
    const { symbol = '', since, limit } = query;
    await shareMarkets(history);
    return history.fetchOHLCV(symbol, '1m', Number(since), Number(limit));
  }

  const candles = {
    maxRows: CANDLES_PER_ANSWER,
    request: (symbol: string, from: number, to: number): RestRequest => ({
      path: 'candles',
      query: { symbol, since: String(from / 1000), limit: String((to - from) / MINUTE + 1) },
      weight: 1,
    }),
    // Asked for when its minute is over.
    parse: (body: string, symbol: string) =>
      parseArray(body).map((row) => ({ ...candleOf(row, symbol), closed: true })),
    // Unknown: with this the exchange's answer decides, minute by minute.
    emptyMinutes: 'present' as const,
  };

  return {
    adapter: {
      id: exchange.id,
      channels: exchange.channels,
      candleClose: 'next-open',
      // ccxt goes by unified symbols.
      venueSymbol: (base, quote, settle) =>
        `${base}/${quote}${settle === undefined ? '' : `:${settle}`}`,
      markets: {
        requests: [{ path: 'markets', query: {}, weight: 1 }],
        parse: (body) => parseArray(body).flatMap((market) => instrumentOf(market, precisionMode)),
      },
      ...(exchange.hasCandleHistory && { history: { candles } }),
    },
    rest: {
      async get(request, signal) {
        return JSON.stringify(await interruptible(answer(request), signal));
      },
    },
    shareMarkets,
  } satisfies CcxtRest as CcxtRest;
}

/** ccxt has a time limit of its own, and cannot be told to stop. */
async function interruptible<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const settled = new AbortController();
  const aborted = once(signal, 'abort', { signal: settled.signal }).then(() => {
    throw signal.reason;
  });
  aborted.catch(() => undefined);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    settled.abort();
  }
}
