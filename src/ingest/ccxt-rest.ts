/**
 * ccxt's REST in the terms of an adapter, so that market lists and the comparison of candles with
 * their history work as for one: a request names what ccxt is called for, an answer is its JSON.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { DecodedCandle, RestRequest, WsAdapter } from './adapter.ts';
import type { CcxtExchange, CcxtInstance } from './ccxt-exchange.ts';
import type { Decimal, Instrument } from './events.ts';
import { MINUTE } from './minutes.ts';
import type { Rest } from './rest.ts';
import {
  array,
  decimal,
  epochMicros,
  integer,
  object,
  parseArray,
  plainDecimal,
  precisionOf,
  shortText,
} from './wire.ts';

export interface CcxtRest {
  readonly adapter: Pick<
    WsAdapter,
    'id' | 'channels' | 'candleClose' | 'venueSymbol' | 'markets' | 'history'
  >;
  readonly rest: Pick<Rest, 'get'>;
  /** Gives a new instance the markets, which are loaded once. */
  shareMarkets(instance: CcxtInstance): Promise<void>;
}

/** ccxt's precision modes. */
const DECIMAL_PLACES = 2;
const TICK_SIZE = 4;
const CANDLES_PER_ANSWER = 100;

export function createCcxtRest(exchange: CcxtExchange, config: Pick<Config, 'connection'>) {
  const { wsUrl, restUrl } = config.connection;
  const instance = exchange.create({ number: String, wsUrl, restUrl });
  const { precisionMode } = instance;

  async function answer({ path, query }: RestRequest): Promise<unknown> {
    if (path === 'markets') return Object.values(await instance.loadMarkets(true));
    const { symbol = '', since, limit } = query;
    return instance.fetchOHLCV(symbol, '1m', Number(since), Number(limit));
  }

  const candles = {
    maxRows: CANDLES_PER_ANSWER,
    request: (symbol: string, from: number, to: number): RestRequest => ({
      path: 'candles',
      query: { symbol, since: String(from / 1000), limit: String((to - from) / MINUTE + 1) },
      weight: 1,
    }),
    parse: (body: string, symbol: string) => parseArray(body).map((row) => candleOf(row, symbol)),
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
        // ccxt has a time limit of its own and cannot be interrupted.
        const ended = sleep(2 ** 31 - 1, undefined, { signal, ref: false });
        return JSON.stringify(await Promise.race([answer(request), ended]));
      },
    },
    async shareMarkets(other) {
      await instance.loadMarkets();
      other.setMarketsFromExchange(instance);
    },
  } satisfies CcxtRest as CcxtRest;
}

/** `[open time, open, high, low, close, volume]` */
export function candleOf(value: unknown, symbol: string): DecodedCandle {
  const row = array(value, 'candle');
  return {
    kind: 'candle',
    venueSymbol: symbol,
    time: epochMicros(row[0], 'time'),
    open: decimalOf(row[1], 'open'),
    high: decimalOf(row[2], 'high'),
    low: decimalOf(row[3], 'low'),
    close: decimalOf(row[4], 'close'),
    volume: decimalOf(row[5], 'volume'),
    trades: null,
    closed: true,
  };
}

/** A text or a float of ccxt's as plain digits. Throws `bad_decimal`. */
export function decimalOf(value: unknown, field: string): Decimal {
  return plainDecimal(typeof value === 'number' ? String(value) : value, field);
}

function instrumentOf(value: unknown, precisionMode: number): Instrument[] {
  const { symbol, id, base, quote, active, limits, precision } = object(value, 'market');
  if (typeof symbol !== 'string' || typeof base !== 'string' || typeof quote !== 'string') return [];
  const { amount } = object(limits ?? {}, 'limits');
  const { min, max } = object(amount ?? {}, 'amount');
  const steps = object(precision ?? {}, 'precision');
  return [
    {
      symbol,
      venueSymbol: typeof id === 'string' ? id : shortText(symbol, 'symbol'),
      base,
      quote,
      status: active === false ? 'inactive' : 'active',
      minOrderSize: rule(min),
      maxOrderSize: rule(max),
      pricePrecision: digits(steps['price'], precisionMode),
      quantityPrecision: digits(steps['amount'], precisionMode),
    },
  ];
}

/** ccxt writes 0 for some rules that an exchange does not have. */
function rule(value: unknown): Decimal | null {
  return value === undefined || value === null || Number(value) === 0
    ? null
    : decimalOf(value, 'limit');
}

function digits(value: unknown, mode: number): number | null {
  const text = rule(value);
  if (mode === DECIMAL_PLACES && value !== undefined && value !== null) {
    return integer(Number(value), 'precision');
  }
  return mode === TICK_SIZE && text !== null ? precisionOf(decimal(text, 'precision')) : null;
}
