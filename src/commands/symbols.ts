/** `hyperfeed symbols`: the markets that an exchange lists. */
import type { Config } from '../config.ts';
import { HyperfeedError, reasonOf } from '../errors.ts';
import type { Instrument } from '../ingest/events.ts';
import { listMarkets } from '../ingest/exchange.ts';
import { loadExchange } from '../ingest/registry.ts';
import type { Logger } from '../log.ts';
import { textTable } from './text-table.ts';

export interface SymbolsOptions {
  readonly config: Config;
  /** Only markets of these currencies. */
  readonly base: string | undefined;
  readonly quote: string | undefined;
  readonly json: boolean;
  /** Resolves when the text is taken. */
  readonly write: (text: string) => Promise<void>;
  readonly warn: (text: string) => void;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

const COLUMNS = ['SYMBOL', 'VENUE SYMBOL', 'STATUS', 'MIN SIZE', 'MAX SIZE', 'PRICE', 'QUANTITY'];

/** Resolves to the exit code: 1 when no market is left. */
export async function runSymbols(options: SymbolsOptions): Promise<number> {
  const { config, base, quote, json, write, warn, logger, signal } = options;
  const exchange = await loadExchange(config.exchange);
  const all = await listMarkets(exchange, config, logger, signal).catch((error: unknown) => {
    if (error instanceof HyperfeedError) throw error;
    const what = `the markets of ${exchange.id} could not be had: ${reasonOf(error)}`;
    throw new HyperfeedError('no_market_list', `${what}. hyperfeed doctor says more`, {
      cause: error,
    });
  });
  const markets = all
    .filter((market) => base === undefined || market.base === base.toUpperCase())
    .filter((market) => quote === undefined || market.quote === quote.toUpperCase())
    .toSorted((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0));
  if (json) {
    await write(markets.map((market) => `${JSON.stringify(market)}\n`).join(''));
  } else {
    await write(table(markets));
    warn(`${markets.length} of ${all.length} markets of ${exchange.id}; precisions in digits\n`);
  }
  return markets.length > 0 ? 0 : 1;
}

function table(markets: readonly Instrument[]): string {
  const rows = markets.map((market) => [
    market.symbol,
    market.venueSymbol,
    market.status,
    market.minOrderSize,
    market.maxOrderSize,
    market.pricePrecision,
    market.quantityPrecision,
  ]);
  return textTable(COLUMNS, rows);
}
