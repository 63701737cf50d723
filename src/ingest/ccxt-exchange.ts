/**
 * An exchange as ccxt.pro speaks it, for those without an adapter. What ccxt cannot do stays undone:
 *
 * - Prices and amounts of trades and candles are kept as the texts that were sent, but numbers that
 *   an exchange sends unquoted, and all of its order books, are floats there: written out without an
 *   exponent, as many digits as tell the float apart, trailing zeros lost.
 * - Times have milliseconds. Candles carry no closed flag and no number of trades.
 * - Whether changes of a book are checked for losses differs from exchange to exchange.
 *
 * Hence the provenance `ccxt`. What is stored names the exchange `ccxt-binance`, without the colon of
 * `ccxt:binance`, at which Redis keys are split.
 */
import { readdir } from 'node:fs/promises';
import { Agent } from 'node:http';
import { HyperfeedError, UsageError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import type { Provenance } from './adapter.ts';
import type { Channel } from './events.ts';

export const CCXT_PREFIX = 'ccxt:';

export interface CcxtExchange {
  /** As it is stored. */
  readonly id: string;
  readonly ccxtId: string;
  readonly channels: Readonly<Partial<Record<Channel, Provenance>>>;
  /** REST history of candles. */
  readonly hasCandleHistory: boolean;
  /** `number`: what ccxt makes of the numbers that it is sent as text. */
  create(options: CcxtOptions): CcxtInstance;
}

export interface CcxtOptions {
  readonly number: NumberConstructor | StringConstructor;
  /** Base URLs instead of the exchange's own. */
  readonly wsUrl?: string | undefined;
  readonly restUrl?: string | undefined;
}

/** As much of ccxt.Exchange as is used here. Its own types are megabytes. Rows are checked when read. */
export interface CcxtInstance {
  readonly has: Readonly<Record<string, unknown>>;
  readonly timeframes?: Readonly<Record<string, unknown>>;
  readonly precisionMode: number;
  readonly markets?: Readonly<Record<string, unknown>>;
  /** The last trades of each symbol. */
  readonly trades?: Readonly<Record<string, readonly unknown[]>>;
  /** Sockets by URL. */
  readonly clients: Readonly<Record<string, { readonly isConnected: boolean }>>;
  /** A tree of texts. */
  urls: unknown;
  number: CcxtOptions['number'];
  httpAgent?: Agent;

  loadMarkets(reload?: boolean): Promise<Readonly<Record<string, unknown>>>;
  setMarketsFromExchange(source: CcxtInstance): unknown;
  fetchOHLCV(symbol: string, timeframe: string, since: number, limit: number): Promise<unknown[]>;
  watchTrades(symbol: string): Promise<unknown[]>;
  watchTradesForSymbols(symbols: readonly string[]): Promise<unknown[]>;
  watchOrderBook(symbol: string): Promise<unknown>;
  watchOrderBookForSymbols(symbols: readonly string[]): Promise<unknown>;
  watchOHLCV(symbol: string, timeframe: string): Promise<unknown[]>;
  watchOHLCVForSymbols(pairs: readonly (readonly [string, string])[]): Promise<unknown>;
  close(): Promise<void>;
}

type CcxtClass = new (config: object) => CcxtInstance;

const WATCH: Readonly<Record<Channel, string>> = {
  trades: 'watchTrades',
  candles: 'watchOHLCV',
  order_book: 'watchOrderBook',
};

/** Of `ccxt:ID`. Throws UsageError `unknown_exchange`. */
export async function loadCcxtExchange(exchange: string): Promise<CcxtExchange> {
  const ccxtId = exchange.slice(CCXT_PREFIX.length);
  const known = await ccxtIds();
  if (!known.includes(ccxtId)) {
    const near = nearest(ccxtId, known).map((id) => CCXT_PREFIX + id);
    throw new UsageError(
      'unknown_exchange',
      `ccxt streams no exchange ${ccxtId}; nearest: ${near.join(', ')}`,
    );
  }
  const Exchange = await importAlone(ccxtId).catch(async () => (await importPro())[ccxtId]);
  if (!Exchange) throw new HyperfeedError('ccxt_changed', `ccxt has no ${ccxtId} any more`);
  const { has, timeframes = {} } = new Exchange({});
  // `emulated` candles are made of trades as they come, with holes.
  const offered = (Object.keys(WATCH) as Channel[])
    .filter((channel) => has[WATCH[channel]] === true)
    .filter((channel) => channel !== 'candles' || '1m' in timeframes);
  return {
    id: `ccxt-${ccxtId}`,
    ccxtId,
    channels: Object.fromEntries(offered.map((channel) => [channel, 'ccxt' as const])),
    hasCandleHistory: has['fetchOHLCV'] === true && '1m' in timeframes,
    create({ number, wsUrl, restUrl }) {
      const instance = new Exchange({});
      instance.number = number;
      // For sockets without TLS, which ccxt refuses to open without an agent.
      instance.httpAgent = new Agent();
      instance.urls = rebased(instance.urls, { wsUrl, restUrl });
      return instance;
    },
  };
}

/** Throws UsageError `no_channel` for what this exchange has not in ccxt. */
export function requireChannels(
  { ccxtId, channels }: CcxtExchange,
  wanted: readonly Channel[],
): void {
  const missing = wanted.filter((channel) => !(channel in channels));
  if (missing.length === 0) return;
  throw new UsageError(
    'no_channel',
    `channels: ${CCXT_PREFIX}${ccxtId} has no ${missing.join(', ')}; it has ${Object.keys(channels).join(', ') || 'none'}`,
  );
}

const PRO = './src/pro/';

function proFolder(): URL {
  return new URL(PRO, import.meta.resolve('ccxt'));
}

async function ccxtIds(): Promise<string[]> {
  try {
    const names = await readdir(proFolder());
    return names.filter((name) => name.endsWith('.js')).map((name) => name.slice(0, -'.js'.length));
  } catch {
    return Object.keys(await importPro());
  }
}

/** Without the other hundred exchanges: half the memory. Not a path that ccxt promises to keep. */
async function importAlone(ccxtId: string): Promise<CcxtClass> {
  const module = (await import(new URL(`${ccxtId}.js`, proFolder()).href)) as {
    default: CcxtClass;
  };
  return module.default;
}

async function importPro(): Promise<Readonly<Record<string, CcxtClass>>> {
  const pro: unknown = (await import('ccxt')).default.pro;
  return pro as Record<string, CcxtClass>;
}

/** ccxt's tree of URLs with other hosts; paths stay. */
function rebased(urls: unknown, { wsUrl, restUrl }: Omit<CcxtOptions, 'number'>): unknown {
  if (typeof urls === 'string') {
    const base = /^wss?:/.test(urls) ? wsUrl : restUrl;
    return base === undefined ? urls : urls.replace(/^\w+:\/\/[^/]+/, base.replace(/\/$/, ''));
  }
  if (typeof urls !== 'object' || urls === null) return urls;
  const entries = Object.entries(urls);
  return Object.fromEntries(entries.map(([k, v]) => [k, rebased(v, { wsUrl, restUrl })]));
}
