/**
 * Trades of one market that are not stored, by their ids, from the exchange's history. What is stored,
 * the database says: so each id is asked for once, however often this was interrupted.
 */
import type { Client } from 'pg';
import type { Instrument, Micros } from '../../ingest/events.ts';
import { type IdRange, tradePages } from '../../ingest/history-pages.ts';
import type { TradeHistory } from '../../ingest/trade-history.ts';
import type { TimeRange } from './moment.ts';
import type { Progress } from './progress.ts';
import type { RowStore } from './row-store.ts';
import { settleGaps } from './settle-gaps.ts';
import { missingIds } from './stored-rows.ts';
import type { Tally } from './tally.ts';

export interface TradeJob {
  readonly exchange: string;
  readonly trades: TradeHistory;
  readonly instrument: Instrument;
  readonly range: TimeRange;
  readonly ids: IdRange;
  readonly client: Client;
  readonly store: Pick<RowStore, 'put'>;
  readonly progress: Pick<Progress, 'add'>;
  readonly tally: Tally;
  readonly signal: AbortSignal;
}

/** The exchange's clock may go back a little from one id to the next. */
const SLACK: Micros = 60_000_000;

export function countOf({ from, to }: IdRange): number {
  return to < from ? 0 : Number(to - from + 1n);
}

export async function backfillTrades(job: TradeJob): Promise<void> {
  const { exchange, instrument, range, ids, client, progress, tally, signal } = job;
  const series = { exchange, symbol: instrument.symbol };
  const times = { from: range.from - SLACK, to: range.to + SLACK };
  try {
    let next = ids.from;
    for await (const hole of missingIds(client, series, times, ids)) {
      signal.throwIfAborted();
      known(countOf({ from: next, to: hole.from - 1n }));
      await fill(job, hole);
      next = hole.to + 1n;
    }
    known(countOf({ from: next, to: ids.to }));
  } finally {
    if (!signal.aborted && tally.asked > 0) {
      tally.settled += Number(await settleGaps(client, series, ids));
    }
  }

  function known(count: number): void {
    tally.asked += count;
    tally.known += count;
    progress.add(count);
  }
}

async function fill(
  { trades, instrument, store, progress, tally, signal }: TradeJob,
  hole: IdRange,
): Promise<void> {
  tally.asked += countOf(hole);
  let left = countOf(hole);
  for await (const page of tradePages(trades, instrument, hole, signal)) {
    const { stored, duplicate, refused } = await store.put(page);
    tally.stored += stored;
    tally.known += duplicate;
    tally.refused += refused;
    left -= page.length;
    progress.add(page.length);
  }
  tally.missing += left;
  progress.add(left);
}
