/**
 * An order book kept from changes: levels a second of ours, which finds places by doubles, orders by
 * digits, checks the sequence and publishes the 20 best after each change, against the books of others,
 * which only take the changes.
 */
import type { DecodedBook } from '../src/ingest/adapter.ts';
import type { Level } from '../src/ingest/events.ts';
import { bookSequence } from '../src/ingest/exchanges/binance-streams.ts';
import { createOrderBooks } from '../src/ingest/order-book.ts';
import { type BookChanges, makeBookChanges } from './book-changes.ts';
import { type Bench, compare, type Sample } from './harness.ts';
import { loadCcxtBook, loadTardis, type Tardis } from './peers.ts';

export const bench: Bench = {
  name: 'book',
  about: 'changes of an order book of 1,000 levels a side',
  async *run(context) {
    const made = makeBookChanges(context.quick ? 2_000 : 20_000);
    const tardis = await loadTardis((note) => void process.stderr.write(`${note}\n`));
    const common = { what: 'book changes', unit: 'levels/s', goal: '>= 1.8' } as const;
    const ours = () => timed(made, createOurs());
    if (tardis) {
      const limit = () => timed(made, createTardisBook(tardis));
      yield await compare(context, { ...common, limitName: 'tardis-dev', ours, limit });
    }
    const ccxt = await loadCcxtBook();
    const limit = () => timed(made, createCcxtBook(ccxt));
    yield await compare(context, { ...common, limitName: 'ccxt.pro', ours, limit });
  },
};

type Apply = (change: DecodedBook) => void;

function timed({ snapshot, changes, levels }: BookChanges, apply: Apply): Sample {
  apply(snapshot);
  const startedAt = performance.now();
  for (const change of changes) apply(change);
  return { value: (levels * 1000) / (performance.now() - startedAt) };
}

function createOurs(): Apply {
  const rules = { sequence: bookSequence };
  const books = createOrderBooks({ depth: 20, rules, requestSnapshot: () => undefined });
  return (change) => {
    const { kind } = books.apply(change);
    if (kind !== 'published') throw new Error(`the book of the bench is ${kind}`);
  };
}

function createTardisBook({ OrderBook }: Tardis): Apply {
  const book = new OrderBook();
  const numbers = (levels: readonly Level[]) =>
    levels.map(([price, amount]) => ({ price: Number(price), amount: Number(amount) }));
  return ({ snapshot: isSnapshot, bids, asks }) =>
    book.update({ isSnapshot, bids: numbers(bids), asks: numbers(asks) });
}

/** As its exchanges do it: texts to numbers, then level by level. */
function createCcxtBook(OrderBook: Awaited<ReturnType<typeof loadCcxtBook>>): Apply {
  const book = new OrderBook();
  return ({ bids, asks }) => {
    for (const [price, amount] of bids) book.bids.storeArray([Number(price), Number(amount)]);
    for (const [price, amount] of asks) book.asks.storeArray([Number(price), Number(amount)]);
  };
}
