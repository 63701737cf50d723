/**
 * Other normalizers of the same frames. tardis-dev is fetched at first use, into a folder of the
 * bench's own: it is no dependency of the project. ccxt is one already.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';

const TARDIS = 'tardis-dev@13.35.3';
const FOLDER = path.resolve(import.meta.dirname, '../.cache/bench-peers');

/** Reads a frame as its users would have it read; returns the number of trades in it. */
export type TradePeer = (frame: string) => number;

interface TardisMapper {
  canHandle(message: unknown): boolean;
  map(message: unknown, localTimestamp: Date): Iterable<unknown> | undefined;
}

export interface Tardis {
  normalizeTrades(exchange: string, localTimestamp: Date): TardisMapper;
  OrderBook: new () => { update(change: unknown): void };
}

/** Our id -> theirs. Advanced Trade is not one of theirs. */
const TARDIS_IDS: Readonly<Record<string, string>> = {
  binance: 'binance',
  'binance-us': 'binance-us',
  'binance-usdm': 'binance-futures',
  bitstamp: 'bitstamp',
  'bybit-linear': 'bybit',
  'bybit-spot': 'bybit-spot',
  'coinbase-exchange': 'coinbase',
  kraken: 'kraken',
  okx: 'okex',
};

/** Undefined, with a note, where it is neither here nor to be had. */
export async function loadTardis(note: (text: string) => void): Promise<Tardis | undefined> {
  const folder = path.join(FOLDER, TARDIS);
  try {
    if (!existsSync(path.join(folder, 'node_modules/tardis-dev/package.json'))) {
      await mkdir(folder, { recursive: true });
      const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefix', folder];
      await promisify(execFile)('npm', ['install', ...options, TARDIS], { timeout: 120_000 });
    }
    return createRequire(path.join(folder, 'node_modules/'))('tardis-dev') as Tardis;
  } catch (error) {
    note(`${TARDIS} is left out: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

export function tardisTrades(tardis: Tardis, exchange: string): TradePeer | undefined {
  const id = TARDIS_IDS[exchange];
  if (id === undefined) return undefined;
  const mapper = tardis.normalizeTrades(id, new Date());
  return (frame) => {
    const message: unknown = JSON.parse(frame);
    if (!mapper.canHandle(message)) return 0;
    let trades = 0;
    for (const _ of mapper.map(message, new Date()) ?? []) trades++;
    return trades;
  };
}

interface CcxtInstance {
  handleMessage(client: object, message: unknown): void;
  safeMarketStructure(market: object): object;
  setMarkets(markets: readonly object[]): void;
}

type CcxtClient = new (
  url: string,
  handleMessage: CcxtInstance['handleMessage'],
) => {
  resolve(): unknown;
  reject(error: unknown): unknown;
  onMessage(event: { readonly data: string }): void;
};

interface CcxtPeer {
  readonly id: string;
  readonly url: string;
  readonly quote: string;
  readonly settle?: string;
  readonly marketId: (base: string) => string;
}

const joined = (base: string) => `${base}USDT`;

const CCXT: Readonly<Record<string, CcxtPeer>> = {
  binance: { id: 'binance', url: 'wss://stream.binance.com', quote: 'USDT', marketId: joined },
  'binance-us': {
    id: 'binanceus',
    url: 'wss://stream.binance.us',
    quote: 'USDT',
    marketId: joined,
  },
  'binance-usdm': {
    id: 'binanceusdm',
    url: 'wss://fstream.binance.com',
    quote: 'USDT',
    settle: 'USDT',
    marketId: joined,
  },
  bitstamp: {
    id: 'bitstamp',
    url: 'wss://ws.bitstamp.net',
    quote: 'USD',
    marketId: (base) => `${base}USD`.toLowerCase(),
  },
  'bybit-linear': {
    id: 'bybit',
    url: 'wss://stream.bybit.com/v5/public/linear',
    quote: 'USDT',
    settle: 'USDT',
    marketId: joined,
  },
  'bybit-spot': {
    id: 'bybit',
    url: 'wss://stream.bybit.com/v5/public/spot',
    quote: 'USDT',
    marketId: joined,
  },
  'coinbase-advanced': {
    id: 'coinbase',
    url: 'wss://advanced-trade-ws.coinbase.com',
    quote: 'USD',
    marketId: (base) => `${base}-USD`,
  },
  'coinbase-exchange': {
    id: 'coinbaseexchange',
    url: 'wss://ws-feed.exchange.coinbase.com',
    quote: 'USD',
    marketId: (base) => `${base}-USD`,
  },
  kraken: {
    id: 'kraken',
    url: 'wss://ws.kraken.com/v2',
    quote: 'USD',
    marketId: (base) => `${base}/USD`,
  },
  okx: {
    id: 'okx',
    url: 'wss://ws.okx.com:8443',
    quote: 'USDT',
    marketId: (base) => `${base}-USDT`,
  },
};

/** ccxt.pro, from a frame to what a watchTrades call resolves with. */
export async function ccxtTrades(
  exchange: string,
  bases: readonly string[],
): Promise<TradePeer | undefined> {
  const peer = CCXT[exchange];
  if (!peer) return undefined;
  const { id, url, quote, settle, marketId } = peer;
  const file = new URL(`./src/pro/${id}.js`, import.meta.resolve('ccxt')).href;
  const { default: Exchange } = (await import(file)) as { default: new () => CcxtInstance };
  const instance = new Exchange();
  const type = settle === undefined ? 'spot' : 'swap';
  instance.setMarkets(
    bases.map((base) =>
      instance.safeMarketStructure({
        id: marketId(base),
        symbol: `${base}/${quote}${settle === undefined ? '' : `:${settle}`}`,
        base,
        quote,
        settle,
        type,
        [type]: true,
        contract: settle !== undefined,
        ...(settle !== undefined && { linear: true }),
        precision: { price: 0.01, amount: 0.00001 },
      }),
    ),
  );
  // With nobody waiting, `resolve` is where ccxt is done with a message.
  const { default: Client } = (await import(
    new URL('./src/base/ws/Client.js', import.meta.resolve('ccxt')).href
  )) as { default: CcxtClient };
  let resolved = 0;
  const client = new Client(url, instance.handleMessage.bind(instance));
  client.resolve = () => resolved++;
  client.reject = (error) => {
    throw error;
  };
  return (frame) => {
    resolved = 0;
    client.onMessage({ data: frame });
    return resolved;
  };
}

interface CcxtSide {
  storeArray(level: readonly [number, number]): void;
}

export async function loadCcxtBook() {
  const file = new URL('./src/base/ws/OrderBook.js', import.meta.resolve('ccxt')).href;
  const { OrderBook } = (await import(file)) as {
    OrderBook: new () => { readonly bids: CcxtSide; readonly asks: CcxtSide };
  };
  return OrderBook;
}
