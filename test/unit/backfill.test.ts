/** What is asked of a history, and what is made of its answers. Stored and restarted: gaps.test.ts. */
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { createBackfill } from '../../src/ingest/backfill.ts';
import type { Instrument, OpenGap, Trade } from '../../src/ingest/events.ts';
import { waitFor } from '../support/stack.ts';

const NOW = 1_786_309_560_000_000;
const HOUR = 3_600_000_000;
const PAGE = 10;
const instrument = { symbol: 'BTC/USDT', venueSymbol: 'BTCUSDT' } as Instrument;

interface HistoryOptions {
  /** Trade -> whether it is shown, by now. */
  readonly shows?: (id: number) => boolean;
  /** One trade an hour, the last of them now. */
  readonly last?: number;
}

function start(
  gap: { next: number; to: number },
  { shows = () => true, last = 1e6 }: HistoryOptions,
) {
  const asked: number[] = [];
  const settled: string[] = [];
  const open = { symbol: 'BTC/USDT', next: BigInt(gap.next), to: BigInt(gap.to) };
  const take = (through: bigint, what: string) => {
    settled.push(`${open.next}-${through} ${what}`);
    open.next = through + 1n;
    return true;
  };
  const backfill = createBackfill({
    history: {
      async from(_, id) {
        asked.push(Number(id));
        const page: Trade[] = [];
        for (let at = Number(id); at <= last && page.length < PAGE && at < id + 5_000n; at++) {
          if (shows(at))
            page.push({ tradeId: String(at), time: NOW - (last - at) * HOUR } as Trade);
        }
        return page;
      },
    },
    gaps: {
      open: (): OpenGap[] => (open.next <= open.to ? [open] : []),
      refill: (_, trades) => take(BigInt(trades.at(-1)?.tradeId ?? 0), 'refilled'),
      lose: (_, through, reason) => take(through, reason),
    },
    config: { maxAgeHours: 100, patienceMs: 100 },
    now: () => NOW,
    logger: pino({ level: 'silent' }),
  });
  const stop = new AbortController();
  const running = backfill.run(new Map([['BTC/USDT', instrument]]), stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await running;
  });
  return {
    asked,
    settled,
    closed: () => waitFor(() => open.next > open.to, { what: 'the gap to be closed' }),
  };
}

test('page after page, and nothing beyond the gap', async () => {
  const { closed, asked, settled } = start({ next: 951, to: 973 }, { last: 1000 });
  await closed();
  expect(settled).toEqual(['951-960 refilled', '961-970 refilled', '971-973 refilled']);
  expect(asked).toEqual([951, 961, 971]);
});

test('too old: what is young enough is found in as many questions as the ids have bits', async () => {
  const { closed, asked, settled } = start({ next: 1, to: 999_910 }, { last: 1e6 });
  await closed();
  // A hundred hours, an id each.
  expect(settled[0]).toBe('1-999899 too_old');
  expect(settled.slice(1)).toEqual(['999900-999909 refilled', '999910-999910 refilled']);
  expect(asked.length).toBeLessThan(1 + 20 + 2 + 1);
});

test('ids that the history has not: asked again for a while, then lost, and no others', async () => {
  const shows = (id: number) => id < 955 || id > 957;
  const { closed, asked, settled } = start({ next: 951, to: 960 }, { last: 1000, shows });
  await closed();
  expect(settled).toEqual(['951-954 refilled', '955-957 not_in_history', '958-960 refilled']);
  expect(asked.filter((id) => id === 955).length).toBeGreaterThan(1);
});

test('nothing is shown for long stretches: what comes after them is found', async () => {
  const shows = (id: number) => id > 999_950;
  const { closed, asked, settled } = start({ next: 960_000, to: 999_955 }, { last: 1e6, shows });
  await closed();
  // An answer looks ahead for 5,000 ids here: that far before them there is something to be shown.
  expect(settled).toEqual([
    '960000-994951 not_in_history',
    '994952-999950 not_in_history',
    '999951-999955 refilled',
  ]);
  expect(asked.length).toBeLessThan(30);
});

test('a history that lags behind the stream loses nothing', async () => {
  let shown = 955;
  const { closed, settled } = start(
    { next: 951, to: 960 },
    { last: 1000, shows: (id) => id < shown },
  );
  await waitFor(() => settled.length === 1, { what: 'the first ids' });
  shown = 2000;
  await closed();
  expect(settled).toEqual(['951-954 refilled', '955-960 refilled']);
});
