/**
 * Stored trades of one market against the exchange's: both in order, matched by id within a page of the
 * exchange's, so that memory holds a page of each.
 */
import type { Client } from 'pg';
import type { Instrument, Trade } from '../../ingest/events.ts';
import { type IdRange, tradePages } from '../../ingest/history-pages.ts';
import type { TradeHistory } from '../../ingest/trade-history.ts';
import { compareDecimals } from '../../ingest/wire.ts';
import type { Cell, Ledger } from './findings.ts';
import { momentText, type TimeRange } from './moment.ts';
import type { Progress } from './progress.ts';
import { type StoredTrade, storedTrades } from './stored-rows.ts';

export interface TradeComparison {
  readonly exchange: string;
  readonly trades: TradeHistory;
  readonly instrument: Instrument;
  readonly range: TimeRange;
  readonly ids: IdRange;
  readonly client: Client;
  readonly progress: Pick<Progress, 'add'>;
  readonly ledger: Ledger;
  readonly signal: AbortSignal;
}

export async function verifyTrades(comparison: TradeComparison): Promise<void> {
  const { exchange, trades, instrument, range, ids, client, progress, ledger, signal } = comparison;
  const series = { exchange, symbol: instrument.symbol };
  const ours = createReader(storedTrades(client, series, range));
  /** Stored, and not seen at the exchange yet. */
  const waiting = new Map<string, StoredTrade>();

  async function compare(page: readonly Trade[]): Promise<void> {
    const until = page.reduce((latest, { time }) => Math.max(latest, time), -Infinity);
    for (const stored of await ours.upTo(until)) waiting.set(stored.tradeId, stored);
    for (const theirs of page) {
      const stored = waiting.get(theirs.tradeId);
      waiting.delete(theirs.tradeId);
      const { time, tradeId: id } = theirs;
      const columns = stored ? differences(stored, theirs) : undefined;
      if (!columns) await ledger.found({ time, id, kind: 'missing' });
      else if (Object.keys(columns).length === 0) await ledger.same(time);
      else await ledger.found({ time, id, kind: 'different', columns });
    }
    const last = page.at(-1);
    if (last) await extraUpTo(last.tradeId);
  }

  /** The exchange is past these ids. */
  async function extraUpTo(id: string | undefined): Promise<void> {
    for (const stored of waiting.values()) {
      if (id !== undefined && isAfter(stored.tradeId, id)) continue;
      waiting.delete(stored.tradeId);
      await ledger.found({ time: stored.time, id: stored.tradeId, kind: 'extra' });
    }
  }

  for await (const shown of tradePages(trades, instrument, ids, signal)) {
    await compare(shown.filter(({ time }) => time >= range.from && time < range.to));
    progress.add(shown.length);
  }
  await extraUpTo(undefined);
  for (let rest = await ours.some(); rest.length > 0; rest = await ours.some()) {
    for (const { time, tradeId: id } of rest) await ledger.found({ time, id, kind: 'extra' });
  }
}

const AT_ONCE = 1_000;

/** Reads on where it was left off. */
function createReader(rows: AsyncGenerator<StoredTrade>) {
  let next: IteratorResult<StoredTrade, void> | undefined;

  async function take(holds: (row: StoredTrade, count: number) => boolean): Promise<StoredTrade[]> {
    const taken: StoredTrade[] = [];
    next ??= await rows.next();
    while (!next.done && holds(next.value, taken.length)) {
      taken.push(next.value);
      next = await rows.next();
    }
    return taken;
  }

  return {
    upTo: (time: number) => take((row) => row.time <= time),
    some: () => take((_, count) => count < AT_ONCE),
  };
}

function differences(stored: StoredTrade, theirs: Trade): Record<string, readonly [Cell, Cell]> {
  const columns: Record<string, readonly [Cell, Cell]> = {};
  if (stored.time !== theirs.time) {
    columns['time'] = [momentText(stored.time), momentText(theirs.time)];
  }
  if (stored.side !== theirs.side) columns['side'] = [stored.side, theirs.side];
  for (const name of ['price', 'quantity'] as const) {
    if (compareDecimals(stored[name], theirs[name]) === 0) continue;
    columns[name] = [stored[name], theirs[name]];
  }
  return columns;
}

function isAfter(id: string, other: string): boolean {
  return id.length === other.length ? id > other : id.length > other.length;
}
