import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BookRules, DecodedBook } from '../../src/ingest/adapter.ts';
import type { Level } from '../../src/ingest/events.ts';
import { type BookOutcome, createOrderBooks } from '../../src/ingest/order-book.ts';

const SYMBOL = 'BTCUSDT';

/** The rule of Binance spot. */
function sequence(bookLast: number, { first, last }: DecodedBook) {
  if (last <= bookLast) return 'stale';
  return first > bookLast + 1 ? 'gap' : 'apply';
}

function change(first: number, last: number, bids: Level[] = [], asks: Level[] = []): DecodedBook {
  const time = last * 1000;
  return { kind: 'book', venueSymbol: SYMBOL, snapshot: false, first, last, time, bids, asks };
}

function snapshot(last: number, bids: Level[], asks: Level[]): DecodedBook {
  return { ...change(last, last, bids, asks), snapshot: true, time: null };
}

function booksOf(options: { depth?: number; snapshotLevels?: number; window?: number } = {}) {
  const requests: string[] = [];
  const books = createOrderBooks({
    depth: options.depth ?? 20,
    rules: {
      sequence,
      window: () => options.window ?? Infinity,
      seed: {
        levels: () => options.snapshotLevels ?? Infinity,
        request: () => ({ path: '/depth', query: {}, weight: 1 }),
        parse: () => snapshot(0, [], []),
      },
    },
    requestSnapshot: (symbol, reason) => void requests.push(`${symbol} ${reason}`),
  });
  return { books, requests };
}

const sidesOf = (outcome: BookOutcome) =>
  outcome.kind === 'published' ? { bids: outcome.bids, asks: outcome.asks } : outcome.kind;

describe('an order book', () => {
  test('buffers until its snapshot comes, then continues from it', () => {
    const { books, requests } = booksOf();
    expect(books.apply(change(5, 10, [['1', '9']])).kind).toBe('buffered');
    expect(books.apply(change(11, 12, [['2', '1']])).kind).toBe('buffered');
    expect(requests).toEqual(['BTCUSDT waiting']);
    const seeded = books.apply(snapshot(10, [['1', '5']], [['3', '1']]));
    // 5..10 is in the snapshot; 11..12 is not.
    expect(sidesOf(seeded)).toEqual({
      bids: [
        ['2', '1'],
        ['1', '5'],
      ],
      asks: [['3', '1']],
    });
    expect(books.inSync(SYMBOL)).toBe(true);
    expect(books.apply(change(12, 12)).kind).toBe('stale');
  });

  test('asks again for a snapshot that is older than what was buffered', () => {
    const { books, requests } = booksOf();
    books.apply(change(20, 21));
    expect(books.apply(snapshot(10, [], [])).kind).toBe('buffered');
    expect(requests).toHaveLength(2);
    expect(books.apply(snapshot(19, [], [])).kind).toBe('published');
  });

  test('is rebuilt after a gap, and says nothing until then', () => {
    const { books, requests } = booksOf();
    books.apply(change(1, 1));
    books.apply(snapshot(1, [['1', '1']], [['2', '1']]));
    expect(books.apply(change(3, 3, [['1', '7']]))).toEqual({ kind: 'lost', reason: 'sequence' });
    expect(books.inSync(SYMBOL)).toBe(false);
    expect(books.apply(change(4, 4)).kind).toBe('buffered');
    expect(requests).toHaveLength(2);
    const rebuilt = books.apply(snapshot(2, [['1', '1']], [['2', '1']]));
    expect(sidesOf(rebuilt)).toMatchObject({ bids: [['1', '7']] });
  });

  test('is rebuilt when it crosses', () => {
    const { books } = booksOf();
    books.apply(change(1, 1));
    books.apply(snapshot(1, [['1', '1']], [['2', '1']]));
    expect(books.apply(change(2, 2, [['2.0', '1']]))).toEqual({ kind: 'lost', reason: 'crossed' });
  });

  test('takes no notice of the deletion of a level that it does not have', () => {
    const { books } = booksOf();
    books.apply(change(1, 1));
    books.apply(snapshot(1, [['1', '1']], [['2', '1']]));
    const outcome = books.apply(change(2, 2, [['0.5', '0.00000000']], [['9', '0']]));
    expect(sidesOf(outcome)).toEqual({ bids: [['1', '1']], asks: [['2', '1']] });
  });

  test('asks for another snapshot when the price drifts out of the first, and stays in sync', () => {
    const { books, requests } = booksOf({ depth: 2, snapshotLevels: 3 });
    const bids: Level[] = [
      ['10', '1'],
      ['9', '1'],
      ['8', '1'],
    ];
    books.apply(change(1, 1));
    books.apply(snapshot(1, bids, [['11', '1']]));
    // 7 was beyond the snapshot: what lies between is unknown.
    const drifted = books.apply(
      change(2, 2, [
        ['10', '0'],
        ['9', '0'],
        ['7', '1'],
      ]),
    );
    expect(drifted.kind).toBe('published');
    expect(requests.at(-1)).toBe('BTCUSDT drift');
    books.apply(change(3, 3, [['6', '2']]));
    const refreshed = books.apply(
      snapshot(
        2,
        [
          ['8', '1'],
          ['7.5', '4'],
          ['7', '1'],
        ],
        [['11', '1']],
      ),
    );
    expect(sidesOf(refreshed)).toMatchObject({
      bids: [
        ['8', '1'],
        ['7.5', '4'],
      ],
    });
    expect(books.apply(change(4, 4, [['7.5', '0']]))).toMatchObject({
      kind: 'published',
      bids: [
        ['8', '1'],
        ['7', '1'],
      ],
    });
  });

  describe('whose snapshots come in band', () => {
    function inBand(rules: BookRules) {
      const requests: string[] = [];
      const books = createOrderBooks({
        depth: 20,
        rules,
        requestSnapshot: (symbol) => void requests.push(symbol),
      });
      return { books, requests };
    }

    test('waits for one, and takes each that comes', () => {
      const { books, requests } = inBand({ sequence });
      expect(books.apply(change(5, 5)).kind).toBe('stale');
      expect(requests).toEqual([]);
      books.apply(snapshot(5, [['1', '1']], []));
      expect(books.apply(change(8, 8))).toEqual({ kind: 'lost', reason: 'sequence' });
      expect(requests).toEqual([SYMBOL]);
      expect(books.apply(change(9, 9)).kind).toBe('stale');
      // Restarted: it counts from the beginning.
      expect(sidesOf(books.apply(snapshot(1, [['2', '2']], [])))).toEqual({
        bids: [['2', '2']],
        asks: [],
      });
      expect(books.apply(change(2, 2)).kind).toBe('published');
    });

    test('is lost when its checksum differs, and keeps no more levels than the exchange', () => {
      const sums = { levels: 2, of: (bids: readonly Level[]) => bids.length };
      const { books } = inBand({ checksum: sums, window: () => 2 });
      books.apply({ ...snapshot(0, [['3', '1']], []), checksum: 1 });
      const filled = change(0, 0, [
        ['2', '1'],
        ['1', '1'],
      ]);
      expect(sidesOf(books.apply({ ...filled, checksum: 2 }))).toMatchObject({
        bids: [
          ['3', '1'],
          ['2', '1'],
        ],
      });
      const deleted = books.apply(change(0, 0, [['2', '0']]));
      expect(sidesOf(deleted)).toMatchObject({ bids: [['3', '1']] });
      expect(books.apply({ ...change(0, 0), checksum: 7 })).toEqual({
        kind: 'lost',
        reason: 'checksum',
      });
    });
  });

  test('orders by every digit, also where doubles are equal', () => {
    const { books } = booksOf();
    books.apply(change(1, 1));
    books.apply(snapshot(1, [], []));
    const near: Level[] = [
      ['9007199254740993.1', '1'],
      ['9007199254740992.9', '2'],
      ['9007199254740993', '3'],
    ];
    const outcome = books.apply(change(2, 2, near, []));
    expect(sidesOf(outcome)).toMatchObject({ bids: [near[0], near[2], near[1]] });
    const less = books.apply(change(3, 3, [['9007199254740993.0', '0']]));
    expect(sidesOf(less)).toMatchObject({ bids: [near[0], near[1]] });
  });

  test('equals a plain model after any changes', () => {
    const price = fc.integer({ min: 1, max: 400 }).map((n) => (n / 20).toFixed(2));
    const amount = fc.oneof(fc.constant('0.00'), fc.integer({ min: 1, max: 99 }).map(String));
    const level = fc.tuple(price, amount);
    const step = fc.record({ bids: fc.array(level), asks: fc.array(level) });
    // In any order, and so deep that levels far from the best are moved as a whole.
    const whole = fc.array(level, { maxLength: 400, size: 'max' });
    const first = fc.record({ bids: whole, asks: whole });
    const window = fc.constantFrom(Infinity, 50);
    fc.assert(
      fc.property(window, first, fc.array(step, { maxLength: 30 }), (levels, held, steps) => {
        const { books } = booksOf({ depth: 5, window: levels });
        const model = { bids: new Map<string, Level>(), asks: new Map<string, Level>() };
        books.apply(change(1, 1));
        for (const [i, { bids, asks }] of [held, ...steps].entries()) {
          // Far apart, so that no book crosses.
          const farAsks = asks.map(([p, a]): Level => [`1${p.padStart(5, '0')}`, a]);
          for (const l of bids) put(model.bids, l);
          for (const l of farAsks) put(model.asks, l);
          const outcome = books.apply(
            i === 0 ? snapshot(1, bids, farAsks) : change(i + 1, i + 1, bids, farAsks),
          );
          expect(sidesOf(outcome)).toEqual({
            bids: best(model.bids, -1),
            asks: best(model.asks, 1),
          });
          if (i === 0) continue;
          keep(model.bids, -1, levels);
          keep(model.asks, 1, levels);
        }
      }),
    );

    function put(side: Map<string, Level>, given: Level): void {
      if (Number(given[1]) === 0) side.delete(given[0]);
      else side.set(given[0], given);
    }

    function ordered(side: Map<string, Level>, sign: 1 | -1): Level[] {
      return [...side.values()].toSorted((a, b) => sign * (Number(a[0]) - Number(b[0])));
    }

    function best(side: Map<string, Level>, sign: 1 | -1): Level[] {
      return ordered(side, sign).slice(0, 5);
    }

    function keep(side: Map<string, Level>, sign: 1 | -1, count: number): void {
      for (const [key] of ordered(side, sign).slice(count)) side.delete(key);
    }
  });
});
