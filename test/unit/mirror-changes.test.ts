import { expect, test } from 'vitest';
import { createMirrorChanges } from '../../src/writers/mirror-changes.ts';

const TABLES = ['strategies', 'risk_limits'];

function taken(...payloads: string[]) {
  const changes = createMirrorChanges(TABLES);
  for (const payload of payloads) changes.add(payload);
  const result = Object.fromEntries(
    [...changes.take()].map(([table, ids]) => [table, ids === 'all' ? ids : [...ids]]),
  );
  expect(changes.isEmpty()).toBe(true);
  return result;
}

test('the ids of a table are put together', () => {
  expect(taken('strategies 3,-17', 'risk_limits 3', 'strategies 4,3')).toEqual({
    strategies: [3, -17, 4],
    risk_limits: [3],
  });
});

test('without ids it is the whole table, whatever comes before or after', () => {
  expect(taken('strategies 3', 'strategies', 'strategies 4')).toEqual({ strategies: 'all' });
});

test.each(['strategies x', 'strategies 1,', 'strategies 12345678901', 'strategies  1'])(
  '%j: the whole table, for safety',
  (payload) => {
    expect(taken(payload)).toEqual({ strategies: 'all' });
  },
);

test.each(['', 'users 5', 'strategies_2 5', ' strategies'])('%j is not ours', (payload) => {
  expect(taken(payload)).toEqual({});
});

test('too many ids are the whole table', () => {
  const payloads = Array.from({ length: 2_001 }, (_, id) => `strategies ${id}`);
  expect(taken(...payloads)).toEqual({ strategies: 'all' });
  expect(taken(...payloads.slice(1))['strategies']).toHaveLength(2_000);
});

test('who waits is woken by a change', async () => {
  const changes = createMirrorChanges(TABLES);
  const waiting = changes.some(60_000);
  changes.add('users 5');
  changes.add('strategies 5');
  await waiting;
  expect(changes.isEmpty()).toBe(false);
  await changes.some(60_000);
});

test('or for nothing', async () => {
  const changes = createMirrorChanges(TABLES);
  const waiting = changes.some(60_000);
  changes.wake();
  await waiting;
  await changes.some(1);
  expect(changes.isEmpty()).toBe(true);
});
