import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Trade } from '../../src/ingest/events.ts';
import { coverageOf, type Cursor } from '../../src/writers/coverage.ts';
import { encodeRow } from '../../src/writers/tables.ts';

const START = 1_786_309_560_000_000;

function row(id: number | bigint | string, symbol = 'BTC/USDT'): string {
  const time = START + (Number(String(id).slice(-6)) || 0) * 1000;
  const stamp = { type: 'trade', exchange: 'binance', symbol, time, receivedAt: 0 } as const;
  const trade: Trade = { ...stamp, tradeId: String(id), side: 'buy', price: '1.0', quantity: '2' };
  return encodeRow(trade);
}

const payload = (ids: readonly number[]) => Buffer.from(ids.map((id) => row(id)).join(''));

test('moves each cursor over what is whole, and names what is missing between two rows', () => {
  const known = new Map<string, Cursor>([['BTC/USDT', { id: 9n, time: 'nine' }]]);
  const first = Buffer.from(row(10) + row(100, 'ETH/USDT') + row(11) + row(15));
  const second = Buffer.from(row(16) + row(101, 'ETH/USDT'));
  const { moved, holes } = coverageOf([first, second], known);
  expect(moved).toEqual(
    new Map([
      ['BTC/USDT', { id: 16n, time: '2026-08-09 21:06:00.016000+00' }],
      ['ETH/USDT', { id: 101n, time: '2026-08-09 21:06:00.101000+00' }],
    ]),
  );
  expect(holes).toEqual([
    {
      symbol: 'BTC/USDT',
      from: 12n,
      to: 14n,
      fromTime: '2026-08-09 21:06:00.011000+00',
      toTime: '2026-08-09 21:06:00.015000+00',
    },
  ]);
});

test('ids beyond 2^53; ids that are no numbers are left alone', () => {
  const known = new Map<string, Cursor>([['BTC/USDT', { id: 9_007_199_254_740_992n, time: '' }]]);
  const rows = Buffer.from(row(9_007_199_254_740_993n) + row('0b1e-77') + row('9'.repeat(39)));
  const { moved, holes } = coverageOf([rows], known);
  expect(moved.get('BTC/USDT')?.id).toBe(9_007_199_254_740_993n);
  expect(holes).toEqual([]);
});

test('in whatever order rows come: each id up to the cursor was in a row or is in a hole, once', () => {
  const batches = fc.array(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 30 }));
  fc.assert(
    fc.property(batches, (all) => {
      const cursors = new Map<string, Cursor>();
      const missing = new Set<bigint>();
      const stored = new Set<bigint>();
      let first: bigint | undefined;
      for (const ids of all.filter(({ length }) => length > 0)) {
        const { moved, holes } = coverageOf([payload(ids)], cursors);
        for (const id of ids) stored.add(BigInt(id));
        first ??= BigInt(Math.min(...ids));
        for (const { from, to } of holes) {
          for (let id = from; id <= to; id++) {
            expect(missing.has(id) || stored.has(id)).toBe(false);
            missing.add(id);
          }
        }
        for (const [symbol, cursor] of moved) cursors.set(symbol, cursor);
        const last = cursors.get('BTC/USDT')?.id ?? 0n;
        for (let id = first; id <= last; id++) {
          expect(stored.has(id) || missing.has(id)).toBe(true);
        }
      }
    }),
  );
});
