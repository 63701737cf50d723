/**
 * The plan of a daemon: its configured symbols, found in the exchange's market list. Without a list
 * the symbols are taken at their word, and the list is asked for until it comes; then once a day.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { HyperfeedError, UsageError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { RestRequest, WsAdapter } from './adapter.ts';
import type { Instrument } from './events.ts';
import { assumeInstrument, resolveInstruments } from './instruments.ts';
import type { Rest } from './rest.ts';

const ATTEMPTS_AT_START = 2;
const START_TIMEOUT_MS = 15_000;
const RETRY_MS = 60_000;
const REFRESH_MS = 24 * 3_600_000;

export interface MarketsOptions {
  readonly adapter: Pick<WsAdapter, 'id' | 'markets' | 'venueSymbol'>;
  readonly rest: Pick<Rest, 'get'>;
  readonly symbols: readonly string[];
  /** Each list as it comes; `complete` when it is the exchange's, not an assumption. */
  readonly onMarkets: (markets: readonly Instrument[], complete: boolean) => void;
  readonly logger: Logger;
}

export function createMarkets({ adapter, rest, symbols, onMarkets, logger }: MarketsOptions) {
  async function list(signal: AbortSignal): Promise<Instrument[]> {
    if (!adapter.markets)
      throw new UsageError('no_market_list', `${adapter.id} has no market list`);
    const markets: Instrument[] = [];
    for (const request of adapter.markets.requests) {
      let page: RestRequest | null = request;
      while (page) {
        const body = await rest.get(page, signal);
        markets.push(...adapter.markets.parse(body));
        page = adapter.markets.next?.(body) ?? null;
      }
    }
    // An answer without any market is a fault of the exchange; it would retire all that are known.
    if (markets.length === 0) throw new HyperfeedError('no_markets', 'the market list is empty');
    onMarkets(markets, true);
    return markets;
  }

  /** Asks again later, for ever. Never rejects. */
  async function refresh(firstDelayMs: number, signal: AbortSignal): Promise<void> {
    for (let delayMs = firstDelayMs; !signal.aborted;) {
      await sleep(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        resolveInstruments(symbols, await list(signal));
        delayMs = REFRESH_MS;
      } catch (error) {
        // A symbol that left the list stays in the plan: the exchange may only be tidying up.
        logger.error({ err: error }, 'market list could not be refreshed');
        delayMs = RETRY_MS;
      }
    }
  }

  return {
    list,
    /**
     * The configured instruments. `signal` ends the attempt and, later, the refreshing.
     * Throws UsageError `unknown_symbol`.
     */
    async resolve(signal: AbortSignal): Promise<Instrument[]> {
      for (let attempt = 1; attempt <= ATTEMPTS_AT_START && !signal.aborted; attempt++) {
        try {
          // A rate limit can ask for minutes of patience; the sockets need not wait for that.
          const timeout = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]);
          const instruments = resolveInstruments(symbols, await list(timeout));
          void refresh(REFRESH_MS, signal);
          return instruments;
        } catch (error) {
          if (error instanceof UsageError) throw error;
          logger.warn({ err: error, attempt }, 'market list could not be had');
        }
      }
      const assumed = symbols.map((symbol) => assumeInstrument(symbol, adapter));
      onMarkets(assumed, false);
      void refresh(RETRY_MS, signal);
      return assumed;
    },
  };
}
