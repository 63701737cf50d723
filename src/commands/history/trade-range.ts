/** Which ids the trades of a time range have at the exchange. */
import type { Instrument } from '../../ingest/events.ts';
import { firstIdSince, idOf, type IdRange } from '../../ingest/history-pages.ts';
import type { TradeHistory } from '../../ingest/trade-history.ts';
import { momentText, type TimeRange } from './moment.ts';

export interface TradeRange extends IdRange {
  /** How far the exchange's history falls short of the range, in words. */
  readonly note?: string;
}

/** Rejects as the client does. */
export async function tradeRange(
  trades: TradeHistory,
  instrument: Instrument,
  { from, to }: TimeRange,
  signal: AbortSignal,
): Promise<TradeRange> {
  const newest = await trades.newest(instrument, signal);
  if (!newest) return { from: 0n, to: -1n, note: 'the exchange shows no trade' };
  const first = await firstIdSince(trades, instrument, from, newest, signal);
  const end = await firstIdSince(trades, instrument, to, newest, signal);
  const ids = { from: first, to: end - 1n };
  if (first === 0n) return ids;
  // Does the history begin here, or was there a trade before?
  const [before] = await trades.from(instrument, first - 1n, signal);
  if (!before || idOf(before) < first) return ids;
  const note = `the exchange shows no trade before ${momentText(before.time)} (id ${before.tradeId})`;
  return { ...ids, note };
}
