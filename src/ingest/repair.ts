/** What makes trades complete: finds what is missing at the end of a stream, refills what is missing. */
import { type BackfillOptions, createBackfill, type Gaps } from './backfill.ts';
import type { Instrument, Trade } from './events.ts';
import { createTailCheck, type TailCheckOptions } from './tail-check.ts';
import { createTradeHistory, type TradeHistoryOptions } from './trade-history.ts';

export interface RepairOptions extends TradeHistoryOptions, Omit<BackfillOptions, 'history'> {
  readonly gaps: Gaps & Pick<TailCheckOptions, 'cursor'>;
}

export type Repair = ReturnType<typeof createRepair>;

export function createRepair(options: RepairOptions) {
  const history = createTradeHistory(options);
  const backfill = createBackfill({ ...options, history });
  const tail = createTailCheck({ history, cursor: options.gaps.cursor, logger: options.logger });

  return {
    /** Trades of a symbol come again: some may have been missed. */
    resumed: tail.resumed,
    /** A live trade came. */
    seen: tail.seen,
    /** `reveal` gets trades that the stream did not bring. Until `signal` aborts. Never rejects. */
    async run(
      instruments: readonly Instrument[],
      reveal: (trade: Trade) => void,
      signal: AbortSignal,
    ): Promise<void> {
      const bySymbol = new Map(instruments.map((instrument) => [instrument.symbol, instrument]));
      await Promise.all([tail.run(bySymbol, reveal, signal), backfill.run(bySymbol, signal)]);
    },
  };
}
