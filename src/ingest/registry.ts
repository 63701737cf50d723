/** Exchange id -> adapter, imported only when it is used. */
import { UsageError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import type { WsAdapter } from './adapter.ts';

const ADAPTERS: Readonly<Record<string, () => Promise<WsAdapter>>> = {
  binance: async () => (await import('./exchanges/binance.ts')).binance,
};

export const exchangeIds: readonly string[] = Object.keys(ADAPTERS);

/** Throws UsageError `unknown_exchange`. */
export async function loadAdapter(exchange: string): Promise<WsAdapter> {
  const load = Object.hasOwn(ADAPTERS, exchange) ? ADAPTERS[exchange] : undefined;
  if (load) return load();
  throw new UsageError(
    'unknown_exchange',
    `unknown exchange ${exchange}; nearest: ${nearest(exchange, exchangeIds).join(', ')}`,
  );
}
