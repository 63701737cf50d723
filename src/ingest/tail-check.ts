/**
 * Asks for the newest trade of each stream that has come (back) up, and passes it on if it is new:
 * then everything between it and what is stored shows as missing. A stream that trades by itself
 * need not be asked for, since its next trade shows the same; the others may be quiet for hours.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../log.ts';
import type { Instrument, Trade } from './events.ts';
import type { TradeHistory } from './trade-history.ts';

export interface TailCheckOptions {
  readonly history: Pick<TradeHistory, 'newest'>;
  /** Last id of a symbol that is accounted for; undefined: none, or not known yet. */
  readonly cursor: (symbol: string) => bigint | undefined;
  readonly logger: Logger;
}

/** Most streams trade within this time. */
const PATIENCE_MS = 1_000;
const ROUND_MS = 250;
const RETRY_MS = 5_000;

export function createTailCheck({ history, cursor, logger }: TailCheckOptions) {
  /** Symbols to ask for, and when. */
  const waiting = new Map<string, number>();

  async function check(
    instrument: Instrument,
    reveal: (trade: Trade) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { symbol } = instrument;
    const known = cursor(symbol);
    // Of a symbol that was never stored nothing is missing; or the database has not answered yet.
    if (known === undefined) return;
    waiting.set(symbol, performance.now() + RETRY_MS);
    try {
      const newest = await history.newest(instrument, signal);
      if (!waiting.delete(symbol) || newest === undefined) return;
      if (BigInt(newest.tradeId) > known) reveal(newest);
      else if (BigInt(newest.tradeId) < known) {
        logger.warn(
          { symbol, newest: newest.tradeId, known: String(known) },
          'trade ids went back',
        );
      }
    } catch (error) {
      if (!signal.aborted)
        logger.warn({ symbol, err: error }, 'newest trade not had, trying again');
    }
  }

  return {
    resumed(symbol: string): void {
      waiting.set(symbol, performance.now() + PATIENCE_MS);
    },
    /** A live trade came. */
    seen(symbol: string): void {
      if (waiting.size > 0) waiting.delete(symbol);
    },
    /** Until `signal` aborts. Never rejects. */
    async run(
      instruments: ReadonlyMap<string, Instrument>,
      reveal: (trade: Trade) => void,
      signal: AbortSignal,
    ): Promise<void> {
      while (!signal.aborted) {
        for (const [symbol, askAtMs] of waiting) {
          const instrument = instruments.get(symbol);
          if (askAtMs > performance.now() || !instrument) continue;
          await check(instrument, reveal, signal);
        }
        await sleep(ROUND_MS, undefined, { signal }).catch(() => undefined);
      }
    },
  };
}
