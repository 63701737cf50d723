/** Which ids a time range has, and what of them is shown: of any history that goes by id. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Trade } from '../../src/ingest/events.ts';
import { kraken } from '../../src/ingest/exchanges/kraken.ts';
import { assumeInstrument } from '../../src/ingest/instruments.ts';
import {
  candlePages,
  createCandlePages,
  firstIdSince,
  idOf,
  tradePages,
} from '../../src/ingest/history-pages.ts';

const instrument = assumeInstrument('BTC/USDT', { venueSymbol: (base, quote) => base + quote });
const { signal } = new AbortController();

interface Shown {
  readonly trades: readonly Trade[];
  readonly pageRows: number;
  /** Ids below it are refused; or, if not, answered with what comes first. */
  readonly oldest: bigint;
  readonly refuses: boolean;
}

function historyOf({ trades, pageRows, oldest, refuses }: Shown) {
  let asked = 0;
  return {
    asked: () => asked,
    from: async (_: unknown, id: bigint) => {
      asked++;
      if (refuses && id < oldest) return [];
      const there = trades.filter((trade) => idOf(trade) >= id && idOf(trade) >= oldest);
      return there.slice(0, pageRows);
    },
  };
}

/** Some ids from `first` on with holes between them, at times that never go back. */
const shown = fc
  .record({
    first: fc.integer({ min: 0, max: 100_000 }),
    steps: fc.array(
      fc.record({
        id: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 5 })),
        time: fc.integer({ min: 0, max: 3 }),
      }),
      { minLength: 1, maxLength: 80 },
    ),
    pageRows: fc.integer({ min: 1, max: 20 }),
    hidden: fc.integer({ min: 0, max: 40 }),
    refuses: fc.boolean(),
  })
  .map(({ first, steps, pageRows, hidden, refuses }): Shown => {
    let [id, time] = [first, 1_000];
    const trades = steps.map((step): Trade => {
      id += step.id;
      time += step.time;
      const stamp = { exchange: 'binance', symbol: 'BTC/USDT', time, receivedAt: time };
      return {
        type: 'trade',
        ...stamp,
        tradeId: String(id),
        side: 'buy',
        price: '1',
        quantity: '1',
      };
    });
    return { trades, pageRows, oldest: BigInt(first + hidden), refuses };
  });

test('the first id since a time, as looking at every trade finds it', async () => {
  await fc.assert(
    fc.asyncProperty(shown, fc.integer({ min: 990, max: 1_300 }), async (exchange, time) => {
      const newest = exchange.trades.at(-1)!;
      const wanted = exchange.trades.find(
        (trade) => trade.time >= time && (idOf(trade) >= exchange.oldest || trade === newest),
      );
      const history = historyOf(exchange);
      const found = await firstIdSince(history, instrument, time, newest, signal);
      const limit = wanted ? idOf(wanted) : idOf(newest) + 1n;
      // Ids between that nobody made may be asked for as well, trades may not.
      expect(exchange.trades.some((t) => idOf(t) >= found && idOf(t) < limit)).toBe(false);
      expect(found <= limit).toBe(true);
      expect(history.asked()).toBeLessThan(60);
    }),
  );
});

test('every trade of a range that is shown, once and in order, and no other', async () => {
  const range = fc.integer({ min: -10, max: 300 });
  await fc.assert(
    fc.asyncProperty(shown, range, range, async (exchange, start, length) => {
      const base = idOf(exchange.trades[0]!);
      const from = base + BigInt(start) < 0n ? 0n : base + BigInt(start);
      const newest = idOf(exchange.trades.at(-1)!);
      const end = from + BigInt(length);
      const to = end > newest ? newest : end;
      const pages: Trade[] = [];
      for await (const page of tradePages(historyOf(exchange), instrument, { from, to }, signal)) {
        expect(page.length).toBeGreaterThan(0);
        pages.push(...page);
      }
      const wanted = exchange.trades.filter(
        (trade) => idOf(trade) >= from && idOf(trade) <= to && idOf(trade) >= exchange.oldest,
      );
      expect(pages).toEqual(wanted);
    }),
  );
});

test('minutes in pieces of one answer', () => {
  const minute = 60_000_000;
  expect([...candlePages(3, { from: 0, to: 6 * minute })]).toEqual([
    { from: 0, to: 2 * minute },
    { from: 3 * minute, to: 5 * minute },
    { from: 6 * minute, to: 6 * minute },
  ]);
  expect([...candlePages(3, { from: minute, to: 0 })]).toEqual([]);
});

test('Kraken shows its newest candles, whatever is asked for: what is older is asked for once', async () => {
  const minute = 60_000_000;
  const start = Date.UTC(2026, 0, 31) * 1_000;
  const seconds = (n: number) => start / 1e6 + n * 60;
  const row = (n: number) => [seconds(n), '1.0', '1.0', '1.0', '1.0', '1.0', '0.00000000', 0];
  const newest = Array.from({ length: 11 }, (_, i) => row(100 + i));
  const answer = { error: [], result: { XXBTZUSD: newest, last: seconds(109) } };
  let asked = 0;
  const rest = {
    get: async () => {
      asked++;
      return JSON.stringify(answer);
    },
  };
  const pages = createCandlePages({
    history: kraken.history!.candles!,
    rest,
    instrument: { venueSymbol: 'BTC/USD' },
    signal,
  });
  const minutes: number[] = [];
  for (const page of candlePages(10, { from: start, to: start + 110 * minute })) {
    minutes.push(...[...(await pages(page)).keys()].map((time) => (time - start) / minute));
  }
  // The last one is not closed.
  expect(minutes).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108, 109]);
  expect(asked).toBe(3);
});
