import { expect, test } from 'vitest';
import type { OrderBookSnapshot } from '../../src/ingest/events.ts';
import { createSampler } from '../../src/ingest/sampler.ts';

const SECOND = 1_000_000;

function book(symbol: string, receivedAt: number, price = '1'): OrderBookSnapshot {
  const bids = [[price, '1']] as const;
  return { type: 'order_book', exchange: 'x', symbol, time: 1, receivedAt, bids, asks: [] };
}

function sampled() {
  const rows: string[] = [];
  const sampler = createSampler(1000, ({ symbol, time, bids }) => {
    rows.push(`${symbol} ${time / SECOND} ${bids[0]?.[0]}`);
  });
  return { sampler, rows };
}

test('each book as it stood at each grid point', () => {
  const { sampler, rows } = sampled();
  sampler.push(book('A', 10.2 * SECOND, '1'));
  sampler.push(book('A', 10.9 * SECOND, '2'));
  sampler.push(book('B', 10.95 * SECOND, '5'));
  // This change came after the grid point 11.
  sampler.push(book('A', 11.1 * SECOND, '3'));
  expect(rows).toEqual(['A 11 2', 'B 11 5']);
  sampler.advance(12 * SECOND);
  expect(rows).toEqual(['A 11 2', 'B 11 5', 'A 12 3']);
});

test('a book that did not change makes no row', () => {
  const { sampler, rows } = sampled();
  sampler.push(book('A', 10.2 * SECOND));
  for (let second = 11; second < 20; second++) sampler.advance(second * SECOND);
  expect(rows).toEqual(['A 11 1']);
});

test('a book out of sync makes no row', () => {
  const { sampler, rows } = sampled();
  sampler.push(book('A', 10.2 * SECOND));
  sampler.forget('A');
  sampler.advance(12 * SECOND);
  expect(rows).toEqual([]);
});

test('a clock that steps back does not stop the samples', () => {
  const { sampler, rows } = sampled();
  sampler.push(book('A', 100.5 * SECOND));
  sampler.push(book('A', 50.5 * SECOND, '2'));
  sampler.advance(51 * SECOND);
  expect(rows).toEqual(['A 51 2']);
});
