/**
 * Which ids rows hold, where ids count up by one: what is whole, and what is missing. It is read off
 * the very rows that a transaction stores, so that whatever kept a row from getting there (a cut, a
 * full disk, a damaged segment) shows as a hole.
 */
import { type CountedId, countedId, follows } from '../counted-id.ts';
import { forEachTrade } from './tables.ts';

/** Up to `id` every id is stored, or lies in a gap that is. */
export interface Cursor {
  readonly id: bigint;
  /** Of its row, as COPY takes it. */
  readonly time: string;
}

/** Ids that are missing between two rows, both included. */
export interface Hole {
  readonly symbol: string;
  readonly from: bigint;
  readonly to: bigint;
  readonly fromTime: string;
  readonly toTime: string;
}

/** Consecutive ids. */
interface Run {
  readonly from: CountedId;
  readonly fromTime: string;
  to: CountedId;
  toTime: string;
}

export interface Coverage {
  /** Where cursors stand once these rows are stored: those that move. */
  readonly moved: ReadonlyMap<string, Cursor>;
  readonly holes: readonly Hole[];
}

/** What these rows of trades cover, by symbol, beyond what is known. */
export function coverageOf(
  payloads: readonly Buffer[],
  known: ReadonlyMap<string, Cursor>,
): Coverage {
  const moved = new Map<string, Cursor>();
  const holes: Hole[] = [];
  for (const [sliced, runs] of runsOf(payloads)) {
    const symbol = copyOf(sliced);
    let cursor = known.get(symbol);
    // Rows that changed places within a batch leave no hole.
    for (const run of runs.toSorted(byStart)) {
      const { fromTime, toTime } = run;
      const from = BigInt(run.from);
      const to = BigInt(run.to);
      if (cursor && to <= cursor.id) continue;
      if (cursor && from > cursor.id + 1n) {
        holes.push({
          symbol,
          from: cursor.id + 1n,
          to: from - 1n,
          fromTime: cursor.time,
          toTime: copyOf(fromTime),
        });
      }
      cursor = { id: to, time: copyOf(toTime) };
      moved.set(symbol, cursor);
    }
  }
  return { moved, holes };
}

function runsOf(payloads: readonly Buffer[]): Map<string, Run[]> {
  const bySymbol = new Map<string, Run[]>();
  for (const payload of payloads) {
    forEachTrade(payload, (time, symbol, tradeId) => {
      const id = countedId(tradeId);
      let runs = bySymbol.get(symbol);
      if (!runs) bySymbol.set(symbol, (runs = []));
      const last = runs.at(-1);
      if (last && follows(id, last.to)) {
        last.to = id;
        last.toTime = time;
      } else if (!last || id < last.from || id > last.to) {
        runs.push({ from: id, fromTime: time, to: id, toTime: time });
      }
    });
  }
  return bySymbol;
}

/** A slice of a text keeps all of it in memory: here a whole batch, for as long as its cursor stands. */
function copyOf(slice: string): string {
  return Buffer.from(slice).toString();
}

function byStart(a: Run, b: Run): number {
  return a.from < b.from ? -1 : a.from > b.from ? 1 : 0;
}
