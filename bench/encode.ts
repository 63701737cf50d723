/**
 * An event to the bytes that spool and COPY take: looked at, encoded, gathered. Against JSON.stringify
 * of the same events, which is native, gives no table its row and checks nothing.
 */
import type { MarketEvent } from '../src/ingest/events.ts';
import { encodeRow, rejectionOf } from '../src/writers/tables.ts';
import { type Bench, compare, costOf, type Goal } from './harness.ts';
import { booksOf, candlesOf, symbolsOf, tradesOf } from './rows.ts';

const SYMBOLS = symbolsOf(200);

interface Made {
  readonly count: number;
  readonly make: (count: number) => readonly MarketEvent[];
  readonly goal?: Goal;
}

/** Of candles and order books there are few: for information. */
const MADE: Readonly<Record<string, Made>> = {
  trades: { count: 100_000, make: (n) => tradesOf(n, { symbols: SYMBOLS }), goal: '<= 1' },
  candles: { count: 50_000, make: (n) => candlesOf(n, SYMBOLS) },
  order_book: { count: 5_000, make: (n) => booksOf(n, SYMBOLS) },
};

export const bench: Bench = {
  name: 'encode',
  about: 'events to rows of COPY text',
  async *run(context) {
    for (const [what, { count, make, goal }] of Object.entries(MADE)) {
      const some = context.quick ? count / 10 : count;
      const events = make(some);
      yield await compare(context, {
        what,
        unit: 'µs/row',
        limitName: 'JSON.stringify',
        ...(goal && { goal }),
        ours: () => costOf(some, () => void gather(events, encode)),
        limit: () => costOf(some, () => void gather(events, (one) => `${JSON.stringify(one)}\n`)),
      });
    }
  },
};

/** As the recorder does it. */
function gather(events: readonly MarketEvent[], rowOf: (event: MarketEvent) => string): number {
  let text = '';
  let bytes = 0;
  for (const event of events) {
    text += rowOf(event);
    if (text.length < 256 * 1024) continue;
    bytes += Buffer.from(text).length;
    text = '';
  }
  return bytes + Buffer.from(text).length;
}

function encode(event: MarketEvent): string {
  const rejection = rejectionOf(event);
  if (rejection) throw new Error(`the bench made a bad ${rejection}`);
  return encodeRow(event);
}
