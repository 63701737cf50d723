/** Candles of one market that are not stored, or are stored differently, from the exchange's history. */
import type { Client } from 'pg';
import type { DecodedCandle } from '../../ingest/adapter.ts';
import { sameCandle } from '../../ingest/candle-differences.ts';
import type { Candle, Instrument, Micros } from '../../ingest/events.ts';
import type { ExchangeHistory } from '../../ingest/exchange.ts';
import { candlePages, createCandlePages } from '../../ingest/history-pages.ts';
import { MINUTE } from '../../ingest/minutes.ts';
import { minutesOf } from './asked.ts';
import { momentText, type TimeRange } from './moment.ts';
import type { Progress } from './progress.ts';
import type { RowStore } from './row-store.ts';
import { type StoredCandle, storedCandles } from './stored-rows.ts';
import type { Tally } from './tally.ts';

export interface CandleJob {
  readonly history: ExchangeHistory;
  readonly candles: NonNullable<ExchangeHistory['candles']>;
  readonly instrument: Instrument;
  readonly range: TimeRange;
  /** Those that are stored are not compared. */
  readonly missingOnly: boolean;
  readonly client: Client;
  readonly store: Pick<RowStore, 'put'>;
  readonly progress: Pick<Progress, 'add'>;
  readonly tally: Tally;
  readonly signal: AbortSignal;
}

export function minutesIn(range: TimeRange): number {
  const { from, to } = minutesOf(range);
  return Math.max(0, (to - from) / MINUTE + 1);
}

export async function backfillCandles(job: CandleJob): Promise<void> {
  const { history, candles, instrument, client, store, tally, signal } = job;
  const { exchange } = history;
  const { symbol } = instrument;
  const ask = createCandlePages({ history: candles, rest: history.rest, instrument, signal });
  const minutesAsked = minutesOf(job.range);
  let firstShown: Micros | undefined;
  for (const page of candlePages(candles.maxRows, minutesAsked)) {
    signal.throwIfAborted();
    const minutes = (page.to - page.from) / MINUTE + 1;
    const stored = await storedCandles(client, { exchange, symbol }, page);
    tally.asked += minutes;
    if (job.missingOnly && stored.size === minutes) {
      firstShown ??= page.from;
      tally.known += minutes;
      job.progress.add(minutes);
      continue;
    }
    const shown = await ask(page);
    const news = [...shown.values()].filter((candle) => !stored.has(candle.time));
    const corrections = job.missingOnly ? [] : [...shown.values()].filter(differsFrom(stored));
    const events = [...news, ...corrections].map((candle) => eventOf(candle, exchange, symbol));
    const outcome = await store.put(events);
    // Of one transaction or a few; whatever was refused is said by its own count.
    tally.refused += outcome.refused;
    tally.corrected += corrections.length;
    tally.stored += Math.max(0, news.length - outcome.duplicate - outcome.refused);
    tally.known +=
      [...shown.keys()].filter((minute) => stored.has(minute)).length + outcome.duplicate;
    tally.missing += minutes - shown.size;
    job.progress.add(minutes);
    for (const time of shown.keys()) firstShown = Math.min(firstShown ?? time, time);
  }
  const notes = [];
  if (firstShown !== undefined && firstShown > minutesAsked.from) {
    notes.push(`the exchange shows no candle before ${momentText(firstShown)}`);
  }
  if (candles.emptyMinutes === 'absent' && tally.missing > 0) {
    notes.push('a minute without trades has no candle there');
  }
  if (notes.length > 0) tally.note = notes.join('; ');
}

function differsFrom(stored: ReadonlyMap<Micros, StoredCandle>) {
  return (candle: DecodedCandle): boolean => {
    const known = stored.get(candle.time);
    return known !== undefined && !sameCandle(known, candle);
  };
}

function eventOf(candle: DecodedCandle, exchange: string, symbol: string): Candle {
  const { time, open, high, low, close, volume, trades } = candle;
  const stamp = { exchange, symbol, receivedAt: Date.now() * 1000 };
  return { type: 'candle', ...stamp, time, open, high, low, close, volume, trades };
}
