import { beforeEach, expect, test } from 'vitest';
import { createOutages, type Outage } from '../../src/ingest/outages.ts';

const SECOND = 1_000_000;
let recorded: Outage[] = [];
beforeEach(() => void (recorded = []));

const follow = (tradesByTime = true) =>
  createOutages({
    snapshotIntervalMs: 1_000,
    tradesByTime,
    record: (outage) => recorded.push(outage),
  });

test('from the last data to the next', () => {
  const outages = follow();
  outages.seen('trades', 'A', 1 * SECOND);
  outages.interrupted('trades', 'A', 2 * SECOND, 'disconnected');
  outages.interrupted('trades', 'A', 3 * SECOND, 'disconnected');
  outages.seen('trades', 'A', 9 * SECOND);
  outages.seen('trades', 'A', 10 * SECOND);
  expect(recorded).toEqual([
    {
      channel: 'trades',
      symbol: 'A',
      fromTime: 2 * SECOND,
      toTime: 9 * SECOND,
      reason: 'disconnected',
    },
  ]);
});

test('a book misses only the points of its grid', () => {
  const outages = follow();
  outages.seen('order_book', 'A', 1.1 * SECOND);
  outages.interrupted('order_book', 'A', 1.2 * SECOND, 'out_of_sync');
  outages.seen('order_book', 'A', 1.9 * SECOND);
  expect(recorded).toEqual([]);
  outages.interrupted('order_book', 'A', 1.9 * SECOND, 'out_of_sync');
  outages.seen('order_book', 'A', 2.1 * SECOND);
  expect(recorded).toMatchObject([{ fromTime: 1.9 * SECOND, toTime: 2.1 * SECOND }]);
});

test('what was never followed, trades with ids and candles are nobody’s gap', () => {
  const outages = follow(false);
  outages.interrupted('order_book', 'A', 1, 'disconnected');
  outages.seen('order_book', 'A', 5 * SECOND);
  outages.seen('trades', 'A', 1);
  outages.interrupted('trades', 'A', 2, 'disconnected');
  outages.interrupted('candles', 'A', 2, 'disconnected');
  outages.seen('trades', 'A', 9 * SECOND);
  outages.end(10 * SECOND);
  expect(recorded).toEqual([]);
});

test.each(['before', 'after'])('the time between two runs, known %s the first data', (when) => {
  const outages = follow();
  if (when === 'before') outages.storedBefore('order_book', 'A', 3 * SECOND);
  outages.seen('order_book', 'A', 8 * SECOND);
  if (when === 'after') outages.storedBefore('order_book', 'A', 3 * SECOND);
  outages.seen('order_book', 'A', 9 * SECOND);
  // Another daemon stored later rows than we saw first: nothing is missing.
  outages.seen('order_book', 'B', 8 * SECOND);
  outages.storedBefore('order_book', 'B', 12 * SECOND);
  expect(recorded).toEqual([
    {
      channel: 'order_book',
      symbol: 'A',
      fromTime: 3 * SECOND,
      toTime: 8 * SECOND,
      reason: 'not_running',
    },
  ]);
});

test('what is missing when the run ends is told', () => {
  const outages = follow();
  outages.seen('trades', 'A', 1 * SECOND);
  outages.interrupted('trades', 'A', 2 * SECOND, 'disconnected');
  outages.end(5 * SECOND);
  expect(recorded).toMatchObject([{ fromTime: 2 * SECOND, toTime: 5 * SECOND }]);
});
