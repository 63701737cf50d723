/** How far long work is, as people and machines read it. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createProgress } from '../../src/commands/history/progress.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

function start(isTerminal: boolean, machine = false) {
  const shown: string[] = [];
  const lines: object[] = [];
  const progress = createProgress({
    warn: (text) => shown.push(text),
    isTerminal,
    emit: machine ? (line) => lines.push(line) : undefined,
    unit: 'rows',
  });
  return { shown, lines, progress };
}

test('a bar on a terminal, rewritten ten times a second, gone at the end', () => {
  const { shown, progress } = start(true);
  progress.expect(4_000);
  progress.on('trades BTC/USDT');
  for (let i = 0; i < 20; i++) {
    vi.advanceTimersByTime(50);
    progress.add(50);
  }
  expect(shown).toHaveLength(10);
  expect(shown.at(-1)).toBe(
    '\r\u001B[2K[######..................] 25%  1000/4000 rows  1000/s  ETA 0:00:03  trades BTC/USDT',
  );
  progress.end();
  expect(shown.at(-1)).toBe('\r\u001B[2K');
});

test('elsewhere a line every five seconds; without a total no bar', () => {
  const { shown, progress } = start(false);
  progress.on('trades');
  for (let i = 0; i < 12; i++) {
    vi.advanceTimersByTime(1_000);
    progress.add(10);
  }
  progress.end();
  expect(shown).toEqual(['50 rows  10/s  trades\n', '100 rows  10/s  trades\n']);
});

test('the rate is that of the last ten seconds of what is being worked on', () => {
  const { lines, progress } = start(false, true);
  progress.expect(100_000);
  progress.on('candles');
  vi.advanceTimersByTime(1_000);
  progress.add(50_000);
  progress.on('trades');
  for (let i = 0; i < 30; i++) {
    vi.advanceTimersByTime(1_000);
    progress.add(i < 15 ? 1_000 : 100);
  }
  expect(lines[0]).toMatchObject({ what: 'candles', perSecond: 50_000, etaSeconds: 1 });
  expect(lines[1]).toMatchObject({ what: 'trades', perSecond: 1_000, etaSeconds: 49 });
  expect(lines.at(-1)).toEqual({
    type: 'progress',
    what: 'trades',
    done: 66_500,
    total: 100_000,
    perSecond: 100,
    etaSeconds: 335,
  });
});
