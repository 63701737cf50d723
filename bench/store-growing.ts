/** The rate into a table that holds rows already, against that into an empty one. */
import { TABLES } from '../src/writers/tables.ts';
import { type BenchContext, compare, type Finding } from './harness.ts';
import { storeEvents } from './parts.ts';
import { EXCHANGE, START, symbolsOf, tradesOf } from './rows.ts';
import { createTarget, type Target } from './store-target.ts';

const SYMBOLS = symbolsOf(20);
const PER_SECOND = 1_000;
const FILL_STEP = 1_000_000;

export async function* growing(context: BenchContext, empty: Target): AsyncGenerator<Finding> {
  const grown = await createTarget(context, SYMBOLS, 'bench_store_grown');
  let held = 0;
  try {
    for (const size of sizesOf(context)) {
      for (; held < size; held += FILL_STEP) {
        context.progress(`filling a table: ${held / 1e6} of ${size / 1e6} M rows`);
        await fill(grown, held, Math.min(FILL_STEP, size - held));
      }
      const store = (target: Target, first: () => number) => async () => {
        const options = { symbols: SYMBOLS, first: first(), perSecond: PER_SECOND };
        const events = tradesOf(context.quick ? 20_000 : 200_000, options);
        if (target === grown) held += events.length;
        else await target.empty(TABLES.trade);
        return storeEvents(events, { url: target.url, folder: await context.folder('spool') });
      };
      yield await compare(context, {
        what: `trades into a table of ${size / 1e6} M rows`,
        unit: 'rows/s',
        limitName: 'into an empty one',
        goal: '>= 0.8',
        ours: store(grown, () => held),
        limit: store(empty, () => 0),
      });
    }
  } finally {
    await grown.close();
  }
}

function sizesOf({ quick, large }: BenchContext): number[] {
  if (quick) return [100_000];
  return large ? [2_000_000, 10_000_000, 50_000_000] : [2_000_000];
}

/** Rows that go on where tradesOf goes on, made by the server. */
async function fill({ client }: Target, first: number, count: number): Promise<void> {
  await client.query('BEGIN; SET LOCAL session_replication_role = replica');
  await client.query(
    `INSERT INTO trades (time, symbol, exchange, trade_id, side, price, quantity)
     SELECT to_timestamp($1::float8) + n / ${PER_SECOND} * INTERVAL '1 s'
         + n % ${PER_SECOND} * INTERVAL '1 ms',
       ($2::text[])[1 + n % ${SYMBOLS.length}], '${EXCHANGE}',
       (1000000 + n / ${SYMBOLS.length})::text, 'buy', 60000 + n % 977 + 0.12345600, 1.23456700
     FROM generate_series($3::bigint, $3::bigint + $4::bigint - 1) AS n`,
    [START / 1e6, SYMBOLS, first, count],
  );
  await client.query('COMMIT');
}
