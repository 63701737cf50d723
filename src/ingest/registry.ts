/** Exchange id -> adapter or, for `ccxt:ID`, ccxt; imported only when it is used. */
import { UsageError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import type { WsAdapter } from './adapter.ts';
import { CCXT_PREFIX, loadCcxtExchange } from './ccxt-exchange.ts';
import type { Exchange } from './exchange.ts';

const ADAPTERS: Readonly<Record<string, () => Promise<WsAdapter>>> = {
  binance: async () => (await import('./exchanges/binance.ts')).binance,
  'binance-us': async () => (await import('./exchanges/binance-us.ts')).binanceUs,
  'binance-usdm': async () => (await import('./exchanges/binance-usdm.ts')).binanceUsdm,
  bitstamp: async () => (await import('./exchanges/bitstamp.ts')).bitstamp,
  'bybit-linear': async () => (await import('./exchanges/bybit-linear.ts')).bybitLinear,
  'bybit-spot': async () => (await import('./exchanges/bybit-spot.ts')).bybitSpot,
  'coinbase-advanced': async () =>
    (await import('./exchanges/coinbase-advanced.ts')).coinbaseAdvanced,
  'coinbase-exchange': async () =>
    (await import('./exchanges/coinbase-exchange.ts')).coinbaseExchange,
  kraken: async () => (await import('./exchanges/kraken.ts')).kraken,
  okx: async () => (await import('./exchanges/okx.ts')).okx,
};

/** Other names by which people ask; what is stored has the id of the adapter. */
const ALIASES: Readonly<Record<string, string>> = { coinbase: 'coinbase-exchange' };

export const exchangeIds: readonly string[] = Object.keys(ADAPTERS);

/** Throws UsageError `unknown_exchange`. */
export async function loadExchange(exchange: string): Promise<Exchange> {
  return exchange.startsWith(CCXT_PREFIX) ? loadCcxtExchange(exchange) : loadAdapter(exchange);
}

/** Throws UsageError `unknown_exchange`, `not_native`. */
export async function loadAdapter(exchange: string): Promise<WsAdapter> {
  if (exchange.startsWith(CCXT_PREFIX)) {
    throw new UsageError(
      'not_native',
      `${exchange}: ccxt keeps the frames to itself; this needs one of ${exchangeIds.join(', ')}`,
    );
  }
  const id = Object.hasOwn(ALIASES, exchange) ? ALIASES[exchange] : exchange;
  const load = id !== undefined && Object.hasOwn(ADAPTERS, id) ? ADAPTERS[id] : undefined;
  if (load) return load();
  const near = nearest(exchange, [...Object.keys(ALIASES), ...exchangeIds]).join(', ');
  throw new UsageError('unknown_exchange', `unknown exchange ${exchange}; nearest: ${near}`);
}
