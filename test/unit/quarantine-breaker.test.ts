import { beforeEach, expect, test } from 'vitest';
import { createBreaker } from '../../src/writers/quarantine.ts';
import { usedMemory } from '../support/daemon.ts';

let now = 0;
beforeEach(() => void (now = 1_000_000));

const limits = { maxRows: 1_000, maxPercent: 1 };
const open = () => createBreaker(limits, () => now);
const refused = (count: number, sqlstate = '22P02') =>
  Array.from({ length: count }, () => ({ row: undefined, refusal: { sqlstate, message: 'no' } }));

test('some bad rows are bad rows', () => {
  const breaker = open();
  expect(() => breaker.check(10, refused(10))).not.toThrow();
  expect(() => breaker.check(10_000, refused(100))).not.toThrow();
});

test('every row, or one in fifty, is not the rows', () => {
  const breaker = open();
  expect(() => breaker.check(60, refused(60))).toThrow(
    expect.objectContaining({ code: 'quarantine_full' }),
  );
  expect(() => breaker.check(10_000, refused(200))).toThrow('200 rows within 5 minutes');
});

test('not more than so many, however many rows come', () => {
  expect(() => open().check(1_000_000, refused(1_001))).toThrow('1001 rows');
  expect(() => open().check(1_000_000, refused(1_000))).not.toThrow();
});

test('counts those of the last five minutes, each reason by itself', () => {
  const breaker = open();
  breaker.note(100_000, refused(900));
  expect(() => breaker.check(10, refused(200, '23514'))).not.toThrow();
  expect(() => breaker.check(10, refused(101))).toThrow('1001 rows');
  now += 301_000;
  expect(() => breaker.check(10, refused(40))).not.toThrow();
});

test('remembers five minutes, not the days before', () => {
  const breaker = open();
  const before = usedMemory();
  for (let second = 0; second < 50_000; second++, now += 1_000) breaker.note(100, []);
  expect(usedMemory() - before).toBeLessThan(2 * 1024 * 1024);
  expect(() => breaker.check(10, refused(301))).toThrow('301 rows');
});
