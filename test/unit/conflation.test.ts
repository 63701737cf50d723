import { expect, test } from 'vitest';
import { createConflation } from '../../src/writers/conflation.ts';
import type { LatestValue } from '../../src/writers/latest-value.ts';

const value = (n: number, time = n): LatestValue => ({ type: 'metric', time, value: n });
const valuesOf = (taken: readonly { value: LatestValue }[]) =>
  taken.map((one) => (one.value.type === 'metric' ? one.value.value : undefined));

test('only the newest value of a key is taken, keys in the order in which they changed', () => {
  const all = createConflation();
  expect(all.accept('a', value(1), 0)).toBe('accepted');
  expect(all.accept('b', value(2), 1)).toBe('accepted');
  expect(all.accept('a', value(3), 2)).toBe('replaced');
  const taken = all.take(10);
  expect(valuesOf(taken)).toEqual([3, 2]);
  expect(all.settle(taken, [])).toBe(0);
  expect(all.dirty()).toBe(0);
});

test('an older value is refused, also long after the newer one was written', () => {
  const all = createConflation();
  all.accept('a', value(5), 0);
  expect(all.accept('a', value(4), 1)).toBe('outdated');
  all.settle(all.take(1), []);
  expect(all.accept('a', value(4), 2)).toBe('outdated');
  expect(all.dirty()).toBe(0);
  expect(all.accept('a', value(6, 5), 3)).toBe('accepted');
});

test('what fails is tried again after release, unless something newer came', () => {
  const all = createConflation();
  all.accept('a', value(1), 0);
  all.accept('b', value(1), 0);
  const taken = all.take(10);
  expect(all.accept('a', value(2), 5)).toBe('accepted');
  expect(all.settle(taken, taken)).toBe(1);
  expect(all.dirty()).toBe(0);
  expect(all.accept('a', value(3), 6)).toBe('replaced');
  expect(all.unwritten()).toBe(2);
  all.release();
  expect(valuesOf(all.take(10))).toEqual([3, 1]);
});

test('the age is that of the oldest update which is not written, in flight included', () => {
  const all = createConflation();
  expect(all.oldestSince(100)).toBe(100);
  all.accept('a', value(1), 10);
  all.accept('a', value(2), 20);
  expect(all.oldestSince(100)).toBe(10);
  const taken = all.take(10);
  all.accept('a', value(3), 30);
  expect(all.oldestSince(100)).toBe(10);
  all.settle(taken, taken);
  expect(all.oldestSince(100)).toBe(10);
  all.release();
  all.settle(all.take(10), []);
  expect(all.oldestSince(100)).toBe(100);
});

test('after soilAll everything is taken once more, and is not fresh', () => {
  const all = createConflation();
  all.accept('a', value(1), 0);
  all.accept('b', value(2), 0);
  const taken = all.take(1);
  expect(taken.map(({ fresh }) => fresh)).toEqual([true]);
  all.settle(taken, []);
  all.soilAll(7);
  expect(all.take(10).map(({ key, fresh }) => [key, fresh])).toEqual([
    ['b', true],
    ['a', false],
  ]);
});

test('a key is in one batch at a time: what changed in flight is taken when its batch is over', () => {
  const all = createConflation();
  for (const key of ['a', 'b', 'c']) all.accept(key, value(1), 0);
  const first = all.take(2);
  all.accept('a', value(2), 1);
  all.soilAll(2);
  expect(all.dirty()).toBe(1);
  const second = all.take(10);
  expect(second.map(({ key }) => key)).toEqual(['c']);
  expect(all.unwritten()).toBe(3);
  expect(all.settle(second, second)).toBe(0);
  expect(all.settle(first, [])).toBe(0);
  const third = all.take(10);
  expect(third.map(({ key, fresh }) => [key, fresh])).toEqual([
    ['a', true],
    ['b', false],
  ]);
  expect(valuesOf(third)).toEqual([2, 1]);
  expect(all.settle(third, [])).toBe(0);
  all.release();
  expect(all.take(10).map(({ key }) => key)).toEqual(['c']);
});
