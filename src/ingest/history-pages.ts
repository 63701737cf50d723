/** What an exchange's history holds of a time range, page by page, so that memory does not grow with it. */
import type { DecodedCandle, History } from './adapter.ts';
import type { Instrument, Micros, Trade } from './events.ts';
import { MINUTE } from './minutes.ts';
import type { Rest } from './rest.ts';
import type { TradeHistory } from './trade-history.ts';

/** Minutes, both included. */
export interface MinuteRange {
  readonly from: Micros;
  readonly to: Micros;
}

/** In pieces of which each is one answer. */
export function* candlePages(maxRows: number, { from, to }: MinuteRange): Generator<MinuteRange> {
  for (let start = from; start <= to; start += maxRows * MINUTE) {
    yield { from: start, to: Math.min(to, start + (maxRows - 1) * MINUTE) };
  }
}

export interface CandlePageOptions {
  readonly history: NonNullable<History['candles']>;
  readonly rest: Pick<Rest, 'get'>;
  readonly instrument: Pick<Instrument, 'venueSymbol'>;
  readonly signal: AbortSignal;
}

/** Closed candles of a page, by their minutes; pages are asked for in order. Rejects as the client does. */
export function createCandlePages({ history, rest, instrument, signal }: CandlePageOptions) {
  const { venueSymbol } = instrument;
  /** Nothing is shown before. */
  let beginsAt = -Infinity;

  return async ({ from, to }: MinuteRange): Promise<Map<Micros, DecodedCandle>> => {
    if (to < beginsAt) return new Map();
    const body = await rest.get(history.request(venueSymbol, from, to), signal);
    const rows = history.parse(body, venueSymbol);
    const [oldest] = rows;
    // Kraken answers with its newest 720, whatever is asked for.
    if (oldest && oldest.time > to) beginsAt = oldest.time;
    const shown = rows.filter(({ closed, time }) => closed && time >= from && time <= to);
    return new Map(shown.map((row) => [row.time, row]));
  };
}

/** Ids, both included; none when `to` is below `from`. */
export interface IdRange {
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * Trades of these ids that are shown, in pieces of one answer; the newest one is not below `to`.
 * Rejects as the client does.
 */
export async function* tradePages(
  history: Pick<TradeHistory, 'from'>,
  instrument: Instrument,
  { from, to }: IdRange,
  signal: AbortSignal,
): AsyncGenerator<Trade[]> {
  for (let next = from; next <= to;) {
    const shown = await history.from(instrument, next, signal);
    const last = shown.at(-1);
    const page = shown.filter((trade) => idOf(trade) <= to);
    if (page.length > 0) yield page;
    next = last ? idOf(last) + 1n : await firstShown(next);
  }

  /** Of an exchange that refuses ids that are too old: the first one after `low` that it shows. */
  async function firstShown(low: bigint): Promise<bigint> {
    let high = to + 1n;
    while (high - low > 1n) {
      const middle = (low + high) / 2n;
      if ((await history.from(instrument, middle, signal)).length > 0) high = middle;
      else low = middle;
    }
    return high;
  }
}

/** How far a first step back from the newest trade goes; doubled with each further one. */
const FIRST_STEP = 1_000n;

/**
 * The id of the first trade that is shown at or after `time`; the one after `newest` if there is none.
 * Ids count up with time, so it is searched: some dozen requests at most. Rejects as the client does.
 */
export async function firstIdSince(
  history: Pick<TradeHistory, 'from'>,
  instrument: Instrument,
  time: Micros,
  newest: Trade,
  signal: AbortSignal,
): Promise<bigint> {
  let found = idOf(newest);
  if (newest.time < time) return found + 1n;
  /** From here on all are at or after `time`, or not shown. */
  let high = found;
  /** Up to here all are before `time`, or not shown. */
  let low = -1n;

  /** Narrows the range; true if that ended it. */
  async function probe(id: bigint): Promise<'found' | 'before' | 'after'> {
    const page = await history.from(instrument, id, signal);
    const first = page.find((trade) => trade.time >= time);
    if (first && (first !== page[0] || idOf(first) === 0n)) {
      found = idOf(first);
      return 'found';
    }
    const last = page.at(-1);
    if (first) {
      if (idOf(first) < found) found = idOf(first);
      high = id;
      return 'after';
    }
    low = last ? idOf(last) : id;
    return 'before';
  }

  for (let step = FIRST_STEP, at = high; ; step *= 2n) {
    at = at > step ? at - step : 0n;
    const verdict = await probe(at);
    if (verdict === 'found') return found;
    if (verdict === 'before' || at === 0n) break;
  }
  while (high - low > 1n) {
    if ((await probe((low + high) / 2n)) === 'found') return found;
  }
  return found;
}

export function idOf(trade: Pick<Trade, 'tradeId'>): bigint {
  return BigInt(trade.tradeId);
}
