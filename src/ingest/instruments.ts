/** Configured symbols <-> exchange symbols. */
import { UsageError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import type { WsAdapter } from './adapter.ts';
import type { Instrument, MarketSymbol } from './events.ts';

/** The configured markets of the exchange's list. Throws UsageError `unknown_symbol`, naming all. */
export function resolveInstruments(
  symbols: readonly MarketSymbol[],
  markets: readonly Instrument[],
): Instrument[] {
  const bySymbol = new Map<string, Instrument>();
  for (const market of markets) {
    // Two markets of one name: the one that trades.
    const known = bySymbol.get(market.symbol);
    if (known?.status !== 'active') bySymbol.set(market.symbol, market);
  }
  const unknown: string[] = [];
  const found: Instrument[] = [];
  for (const symbol of new Set(symbols)) {
    const instrument = bySymbol.get(symbol);
    if (instrument) found.push(instrument);
    else unknown.push(`${symbol} (nearest: ${nearest(symbol, [...bySymbol.keys()]).join(', ')})`);
  }
  if (unknown.length > 0) {
    throw new UsageError(
      'unknown_symbol',
      `symbols: the exchange does not list ${unknown.join('; ')}`,
    );
  }
  return found;
}

/** What is known of a market before its exchange's list could be had: its name. */
export function assumeInstrument(
  symbol: MarketSymbol,
  adapter: Pick<WsAdapter, 'venueSymbol'>,
): Instrument {
  const [pair = '', settle] = symbol.split(':');
  const [base = '', quote = ''] = pair.split('/');
  return {
    symbol,
    venueSymbol: adapter.venueSymbol(base, quote, settle),
    base,
    quote,
    status: 'active',
    minOrderSize: null,
    maxOrderSize: null,
    pricePrecision: null,
    quantityPrecision: null,
  };
}
