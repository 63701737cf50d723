import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { takeTurn } from '../../src/ingest/event-loop-turn.ts';

function fakeSocket() {
  const calls: string[] = [];
  return { calls, pause: () => calls.push('pause'), resume: () => calls.push('resume') };
}

test('sockets that take too long wait for the next turn, all of one turn together', async () => {
  const [flooded, other] = [fakeSocket(), fakeSocket()];
  for (const now of [0, 0.5, 1.9]) takeTurn(flooded, now);
  expect(flooded.calls).toEqual([]);
  takeTurn(flooded, 2.1);
  // What was read of it already still comes.
  takeTurn(flooded, 2.2);
  takeTurn(other, 2.3);
  expect([flooded.calls, other.calls]).toEqual([['pause'], ['pause']]);

  await setImmediate();
  expect([flooded.calls, other.calls]).toEqual([
    ['pause', 'resume'],
    ['pause', 'resume'],
  ]);
  // A turn of its own.
  takeTurn(other, 50);
  takeTurn(other, 51);
  expect(other.calls).toHaveLength(2);
  await setImmediate();
});
