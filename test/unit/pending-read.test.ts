import { expect, test } from 'vitest';
import { createPendingRead } from '../../src/writers/pending-read.ts';

const never = new AbortController().signal;

test('what came without anybody waiting is there for the next who does', async () => {
  const read = Promise.withResolvers<string>();
  const pending = createPendingRead(() => read.promise, never);
  let calls = 0;
  pending.whenCome(() => calls++);
  read.resolve('rows');
  await read.promise;
  expect(calls).toBe(1);
  pending.whenCome(() => (calls += 10));
  expect(calls).toBe(11);
  expect(await pending.take()).toBe('rows');
});

test('a read that failed is not the answer for ever', async () => {
  let reads = 0;
  const pending = createPendingRead(async () => {
    reads++;
    if (reads === 1) throw new Error('EMFILE');
    return 'rows';
  }, never);
  const come = () => new Promise<void>((resolve) => pending.whenCome(resolve));
  await come();
  await expect(pending.take()).rejects.toThrow('EMFILE');
  await come();
  expect(await pending.take()).toBe('rows');
});

test('one that is not wanted any more is ended, whatever it comes to, and read anew', async () => {
  const signals: AbortSignal[] = [];
  const read = (signal: AbortSignal) =>
    new Promise<string>((_, reject) => {
      signals.push(signal);
      signal.addEventListener('abort', () => reject(new Error('ended')));
    });
  const pending = createPendingRead(read, never);
  pending.whenCome(() => undefined);
  await pending.discard();
  pending.whenCome(() => undefined);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
});

test('the end of all reading ends a read, also after one was discarded', async () => {
  const stopping = new AbortController();
  const signals: AbortSignal[] = [];
  const pending = createPendingRead(async (signal) => void signals.push(signal), stopping.signal);
  pending.whenCome(() => undefined);
  await pending.discard();
  pending.whenCome(() => undefined);
  stopping.abort();
  expect(signals.at(-1)?.aborted).toBe(true);
});
