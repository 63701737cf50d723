/**
 * Rows from the first push to the last commit, by recorder, spool and store, against psql `\copy` of
 * the same rows into the same table; against what others do; with duplicates; and as a table grows.
 */
import type { Client } from 'pg';
import type { MarketEvent } from '../src/ingest/events.ts';
import { type Table, TABLES } from '../src/writers/tables.ts';
import {
  type Bench,
  type BenchContext,
  compare,
  type Comparison,
  type Finding,
  type Sample,
} from './harness.ts';
import { storeEvents } from './parts.ts';
import { psqlCopy, writeRows } from './psql.ts';
import { booksOf, candlesOf, copyText, symbolsOf, tradesOf } from './rows.ts';
import { growing } from './store-growing.ts';
import { insertOneByOne, insertValues } from './store-inserts.ts';
import { createTarget, type Target } from './store-target.ts';

const SYMBOLS = symbolsOf(20);

export const bench: Bench = {
  name: 'store',
  about: 'events to committed rows, against psql \\copy',
  async *run(context) {
    const target = await createTarget(context, SYMBOLS);
    try {
      yield* trades(context, target);
      yield* inserts(context, target);
      yield* duplicates(context, target);
      yield* otherTables(context, target);
      yield* growing(context, target);
      yield await lanes(context, target);
    } finally {
      await target.close();
    }
  },
};

async function* trades(context: BenchContext, target: Target): AsyncGenerator<Finding> {
  const events = tradesOf(context.quick ? 50_000 : 300_000, { symbols: SYMBOLS });
  const limit = await againstPsql(context, target, TABLES.trade, events);
  const ours = (url: string) => async () => {
    await target.empty(TABLES.trade);
    return storeEvents(events, { url, folder: await context.folder('spool') });
  };
  yield await compare(context, {
    what: 'trades, foreign key checked row by row',
    unit: 'rows/s',
    goal: '>= 0.95',
    ours: ours(target.rowCheckUrl),
    ...limit,
  });
  yield await compare(context, {
    what: 'trades, foreign key checked by the batch',
    unit: 'rows/s',
    goal: '>= 1.35',
    ours: ours(target.url),
    ...limit,
  });
}

async function lanes(context: BenchContext, target: Target): Promise<Finding> {
  const events = tradesOf(context.quick ? 50_000 : 300_000, { symbols: SYMBOLS });
  const store = (count: number) => async () => {
    await target.empty(TABLES.trade);
    const folder = await context.folder('spool');
    return storeEvents(events, { url: target.url, folder, lanes: count });
  };
  return compare(context, {
    what: 'trades, two lanes',
    unit: 'rows/s',
    limitName: 'one lane',
    goal: '>= 1.6',
    ours: store(2),
    limit: store(1),
  });
}

/** As others write, the same rows. */
async function* inserts(context: BenchContext, target: Target): AsyncGenerator<Finding> {
  const ours = (events: readonly MarketEvent[]) => async () => {
    await target.empty(TABLES.trade);
    return storeEvents(events, { url: target.url, folder: await context.folder('spool') });
  };
  const limit = (write: (client: Client) => Promise<Sample>) => async () => {
    await target.empty(TABLES.trade);
    return write(target.client);
  };
  const many = tradesOf(context.quick ? 10_000 : 100_000, { symbols: SYMBOLS });
  yield await compare(context, {
    what: 'trades',
    unit: 'rows/s',
    limitName: 'INSERT of 5,000 VALUES',
    goal: '>= 2.2',
    ours: ours(many),
    limit: limit((client) => insertValues(client, many)),
  });
  const few = many.slice(0, context.quick ? 1_000 : 5_000);
  yield await compare(context, {
    what: 'trades',
    unit: 'rows/s',
    limitName: 'one INSERT a row',
    goal: '>= 35',
    // Of few rows the way to the first commit would be half.
    ours: ours(many),
    limit: limit((client) => insertOneByOne(client, few)),
  });
}

/** Of every hundred rows of a batch this many are in the table. */
async function* duplicates(context: BenchContext, target: Target): AsyncGenerator<Finding> {
  const events = tradesOf(context.quick ? 20_000 : 200_000, { symbols: SYMBOLS });
  for (const [name, percent] of [
    ['1 of 100', 1],
    ['all', 100],
  ] as const) {
    const stored = events.filter((_, i) => i % 100 < percent);
    const store = (known: readonly MarketEvent[]) => async () => {
      await target.empty(TABLES.trade);
      await target.load(TABLES.trade, known);
      return storeEvents(events, { url: target.url, folder: await context.folder('spool') });
    };
    yield await compare(context, {
      what: `trades, of each batch ${name} stored before`,
      unit: 'rows/s',
      limitName: 'none stored before',
      ours: store(stored),
      limit: store([]),
    });
  }
}

async function* otherTables(context: BenchContext, target: Target): AsyncGenerator<Finding> {
  const count = context.quick ? 5_000 : 40_000;
  for (const [table, events] of [
    [TABLES.order_book, booksOf(count, SYMBOLS)],
    [TABLES.candle, candlesOf(5 * count, SYMBOLS)],
  ] as const) {
    yield await compare(context, {
      what: table === TABLES.candle ? 'market_data, rolled up' : 'order_book, 20 levels',
      unit: 'rows/s',
      goal: '>= 0.9',
      async ours() {
        await target.empty(table);
        return storeEvents(events, { url: target.url, folder: await context.folder('spool') });
      },
      ...(await againstPsql(context, target, table, events)),
    });
  }
}

async function againstPsql(
  context: BenchContext,
  target: Target,
  table: Table,
  events: readonly MarketEvent[],
): Promise<Pick<Comparison, 'limitName' | 'limit'>> {
  const file = await writeRows(await context.folder(table.name), 'rows', copyText(events));
  return {
    limitName: 'psql \\copy',
    async limit() {
      await target.empty(table);
      return psqlCopy({ url: target.url, table, file, rows: events.length });
    },
  };
}
