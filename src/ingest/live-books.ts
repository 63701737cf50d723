/**
 * The order books of one connection, live: asks for the snapshots that they need, by REST or by
 * subscribing anew, and says what is published and what is lost.
 */
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { BookSeed, DecodedBook, WsAdapter } from './adapter.ts';
import type { Level, Micros } from './events.ts';
import { type BookOutcome, createOrderBooks } from './order-book.ts';
import type { Rest } from './rest.ts';

const RETRY_MS = 1_000;

/** The best levels after a change. */
export interface PublishedBook {
  readonly venueSymbol: string;
  readonly time: Micros;
  readonly receivedAt: Micros;
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
}

export interface LiveBooksOptions {
  readonly adapter: Pick<WsAdapter, 'book'>;
  /** Levels a side that are published. */
  readonly depth: number;
  readonly rest: Rest;
  /** Of the streams of this connection. */
  readonly venueSymbols: readonly string[];
  readonly publish: (book: PublishedBook) => void;
  /** What was published of this book does not hold any more. */
  readonly lost: (venueSymbol: string) => void;
  /** Where snapshots come in band: subscribes the book anew. */
  readonly resubscribe: (venueSymbol: string) => void;
  readonly now: () => Micros;
  /** The end of the connection. */
  readonly signal: AbortSignal;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export function createLiveBooks(options: LiveBooksOptions) {
  const { depth, signal, metrics, logger } = options;
  const rules = options.adapter.book ?? {};
  const books = createOrderBooks({ depth, rules, requestSnapshot });
  /** When a book was subscribed anew, or is about to be. */
  const askedAtMs = new Map<string, number>();

  function apply(change: DecodedBook, receivedAt: Micros): void {
    note(change.venueSymbol, books.apply(change), receivedAt);
  }

  /** Changes of this book, or of all, did not arrive. */
  function lose(only: string | null, detail: string, receivedAt: Micros): void {
    logger.warn({ venueSymbol: only, detail }, 'order book changes were lost');
    for (const venueSymbol of options.venueSymbols) {
      if (only === null || only === venueSymbol) {
        note(venueSymbol, books.distrust(venueSymbol), receivedAt);
      }
    }
  }

  function note(venueSymbol: string, outcome: BookOutcome, receivedAt: Micros): void {
    if (outcome.kind === 'lost') {
      metrics.orderBookResyncs.inc({ reason: outcome.reason });
      logger.warn({ venueSymbol, reason: outcome.reason }, 'order book out of sync, rebuilding');
      options.lost(venueSymbol);
    } else if (outcome.kind === 'published') {
      const { bids, asks, time } = outcome;
      options.publish({ venueSymbol, time: time ?? receivedAt, receivedAt, bids, asks });
    }
  }

  function requestSnapshot(venueSymbol: string, reason: 'waiting' | 'drift'): void {
    if (reason === 'drift') metrics.orderBookResyncs.inc({ reason });
    // A book that nobody can see comes before one that may miss a level.
    if (rules.seed) void fetchSnapshot(rules.seed, venueSymbol, reason === 'waiting' ? 1 : 0);
    else resubscribe(venueSymbol);
  }

  /** Once a second at most: a book that the exchange itself sends crossed would make a storm. */
  function resubscribe(venueSymbol: string): void {
    const nowMs = performance.now();
    const lastMs = askedAtMs.get(venueSymbol) ?? -Infinity;
    if (lastMs > nowMs) return;
    const waitMs = Math.max(0, lastMs + RETRY_MS - nowMs);
    askedAtMs.set(venueSymbol, nowMs + waitMs);
    const ask = () => {
      if (!signal.aborted) options.resubscribe(venueSymbol);
    };
    if (waitMs === 0) ask();
    else setTimeout(ask, waitMs);
  }

  /** Asks until there is an answer or the connection is over. Never rejects. */
  async function fetchSnapshot(
    seed: BookSeed,
    venueSymbol: string,
    priority: number,
  ): Promise<void> {
    while (!signal.aborted) {
      try {
        const body = await options.rest.get(seed.request(venueSymbol, depth), signal, priority);
        apply(seed.parse(body, venueSymbol), options.now());
        return;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ venueSymbol, err: error }, 'order book snapshot failed, trying again');
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  return { apply, lose, countInSync: () => books.countInSync() };
}
