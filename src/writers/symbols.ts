/**
 * The exchange's markets in `symbols`. In statements of their own, rows in order: within a COPY's
 * transaction, or unordered, daemons deadlock on them.
 */
import type { Client } from 'pg';
import type { Instrument } from '../ingest/events.ts';
import type { Logger } from '../log.ts';
import { actionOf } from './pg-errors.ts';

const UPSERT = `
  INSERT INTO symbols AS known (symbol, exchange, base_currency, quote_currency, status,
    min_order_size, max_order_size, price_precision, quantity_precision)
  SELECT symbol, $1, base, quote, status, min_size, max_size, price_digits, quantity_digits
  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[],
    $8::integer[], $9::integer[])
    AS listed (symbol, base, quote, status, min_size, max_size, price_digits, quantity_digits)
  ORDER BY symbol
  ON CONFLICT (symbol, exchange) DO UPDATE SET
    base_currency = excluded.base_currency, quote_currency = excluded.quote_currency,
    status = excluded.status,
    min_order_size = excluded.min_order_size, max_order_size = excluded.max_order_size,
    price_precision = excluded.price_precision, quantity_precision = excluded.quantity_precision
  WHERE (known.base_currency, known.quote_currency, known.status, known.min_order_size,
    known.max_order_size, known.price_precision, known.quantity_precision)
    IS DISTINCT FROM (excluded.base_currency, excluded.quote_currency, excluded.status,
    excluded.min_order_size, excluded.max_order_size, excluded.price_precision,
    excluded.quantity_precision)`;

/** An assumed market says nothing of one that is known. */
const INSERT_MISSING = UPSERT.replace(/ON CONFLICT[\s\S]*$/, 'ON CONFLICT DO NOTHING');

const DEPRECATE = `
  UPDATE symbols SET status = 'deprecated'
  WHERE exchange = $1 AND status <> 'deprecated' AND symbol <> ALL ($2::text[])`;

export type SymbolsWriter = ReturnType<typeof createSymbolsWriter>;

export function createSymbolsWriter(exchange: string, logger: Logger) {
  let pending: { markets: readonly Instrument[]; complete: boolean } | undefined;
  let changed = new AbortController();

  async function upsert(client: Client, markets: readonly Instrument[], complete: boolean) {
    await client.query(complete ? UPSERT : INSERT_MISSING, [
      exchange,
      markets.map((m) => m.symbol),
      markets.map((m) => m.base),
      markets.map((m) => m.quote),
      markets.map((m) => m.status),
      markets.map((m) => m.minOrderSize),
      markets.map((m) => m.maxOrderSize),
      markets.map((m) => m.pricePrecision),
      markets.map((m) => m.quantityPrecision),
    ]);
  }

  /** One that the table cannot hold must not keep the others out. */
  async function upsertAlone(client: Client, market: Instrument, complete: boolean) {
    try {
      await upsert(client, [market], complete);
    } catch (error) {
      if (actionOf(error) !== 'isolate') throw error;
      logger.error({ err: error, symbol: market.symbol }, 'market refused by the database');
    }
  }

  return {
    /** To be written before the next batch. A complete list also retires what left it. */
    set(markets: readonly Instrument[], complete: boolean): void {
      pending = { markets, complete };
      changed.abort();
    },
    /** Aborts when there is something to flush. */
    changed: (): AbortSignal => changed.signal,
    async flush(client: Client): Promise<void> {
      if (!pending) return;
      const now = pending;
      const markets = uniqueBySymbol(now.markets);
      try {
        await upsert(client, markets, now.complete);
      } catch (error) {
        if (actionOf(error) !== 'isolate') throw error;
        for (const market of markets) await upsertAlone(client, market, now.complete);
      }
      if (now.complete) await client.query(DEPRECATE, [exchange, markets.map((m) => m.symbol)]);
      if (pending !== now) return;
      pending = undefined;
      changed = new AbortController();
    },
  };
}

/** One statement must not touch a row twice. The market that trades wins. */
function uniqueBySymbol(markets: readonly Instrument[]): Instrument[] {
  const bySymbol = new Map<string, Instrument>();
  for (const market of markets) {
    if (bySymbol.get(market.symbol)?.status !== 'active') bySymbol.set(market.symbol, market);
  }
  return [...bySymbol.values()];
}
