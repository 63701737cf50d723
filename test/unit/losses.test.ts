/** What is missing is remembered on a disk that is full, and becomes rows when there is room. */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { OrderBookSnapshot } from '../../src/ingest/events.ts';
import { createMetrics } from '../../src/metrics.ts';
import { createThinning } from '../../src/writers/book-thinning.ts';
import { createLosses } from '../../src/writers/losses.ts';
import { openReserve } from '../../src/writers/spool-reserve.ts';
import type { Pressure } from '../../src/writers/spool-room.ts';
import { INGEST_GAPS, TABLES } from '../../src/writers/tables.ts';
import { metricValue } from '../support/daemon.ts';
import { drain, logger, spoolFolder } from '../support/spool.ts';
import { waitFor } from '../support/stack.ts';

const SLOT_BYTES = 512 * 1024;
const AT = Date.UTC(2026, 2, 1, 12) * 1000;
const time = (second: number) => `2026-03-01 12:00:${String(second).padStart(2, '0')}.000000+00`;
const line = (second: number, symbol: string, rest: string) =>
  `${time(second)}\t${symbol}\tbinance\t${rest}\n`;

function book(second: number, symbol = 'BTC/USDT'): OrderBookSnapshot {
  const at = AT + second * 1_000_000;
  return {
    type: 'order_book',
    exchange: 'binance',
    symbol,
    time: at,
    receivedAt: at,
    bids: [],
    asks: [],
  };
}

/** A real spool under a pressure that the test sets, and its losses. */
async function startLosing(
  options: { tradeIds?: boolean; folder?: Awaited<ReturnType<typeof spoolFolder>> } = {},
) {
  const folder = options.folder ?? (await spoolFolder());
  const metrics = createMetrics('binance');
  const spool = await folder.open({}, metrics);
  const state: { pressure: Pressure; written: Promise<void> } = {
    pressure: 'full',
    written: Promise.resolve(),
  };
  const losses = await createLosses({
    exchange: 'binance',
    spool: {
      ...spool,
      pressure: () => state.pressure,
      flush: async (deadline) => {
        await state.written;
        await spool.flush(deadline);
      },
    },
    tradeIds: options.tradeIds ?? true,
    metrics,
    logger,
  });
  onTestFinished(() => losses.close([]));
  return { folder, spool, losses, state, metrics };
}

/** Rows of ingest_gaps without when they were closed. */
async function gapRows(spool: Awaited<ReturnType<typeof startLosing>>['spool']): Promise<string[]> {
  return (await drain(spool)).map((row) => row.split('\t').slice(0, 7).join(' '));
}

test('a reserve holds what was written last, whatever half of it is damaged', async () => {
  const { directory } = await spoolFolder();
  const path = join(directory, 'reserve');
  const first = await openReserve(directory);
  expect(first.content).toBeUndefined();
  expect((await readFile(path)).length).toBe(2 * SLOT_BYTES);
  await first.write(['one']);
  await first.write(['two']);
  await first.write(['three']);
  expect((await openReserve(directory)).content).toEqual(['three']);
  // A crash in the middle of the third: the second one counts.
  const handle = await open(path, 'r+');
  await handle.write(Buffer.from('xx'), 0, 2, SLOT_BYTES + 20);
  await handle.close();
  const damaged = await openReserve(directory);
  expect(damaged.content).toEqual(['two']);
  await damaged.write(['four']);
  expect((await openReserve(directory)).content).toEqual(['four']);
  expect((await readFile(path)).length).toBe(2 * SLOT_BYTES);
  await expect(damaged.write('x'.repeat(SLOT_BYTES))).rejects.toThrow(RangeError);
});

test('dropped rows become one interval a stream, once there is room; of trades with ids the last one comes after all', async () => {
  const { losses, spool, state, metrics } = await startLosing();
  losses.dropped(TABLES.candle, line(1, 'BTC/USDT', '1') + line(3, 'BTC/USDT', '1'), 'spool_full');
  losses.dropped(TABLES.candle, line(2, 'BTC/USDT', '1'), 'spool_full');
  losses.dropped(
    TABLES.trade,
    line(4, 'BTC/USDT', '17\tbuy') + line(5, 'BTC/USDT', '18\tbuy'),
    'spool_full',
  );
  losses.withheld(book(6, 'ETH/USDT'), 'spool_90');
  losses.withheld(book(9, 'ETH/USDT'), 'spool_90');
  losses.withheld(book(9, 'BTC/USDT'), 'spool_80');
  expect(losses.pending()).toBe(4);
  expect(spool.isEmpty()).toBe(true);
  state.pressure = 'roomy';
  await waitFor(() => losses.pending() === 0, { what: 'the rows' });
  expect(await metricValue(metrics, 'rowsReceived', { table: INGEST_GAPS.name })).toBe(3);
  expect(await metricValue(metrics, 'gapsDetected', { channel: 'order_book' })).toBe(2);
  expect(await gapRows(spool)).toEqual([
    // By it the gap ledger sees what is missing before it.
    line(5, 'BTC/USDT', '18 buy').replaceAll('\t', ' ').trimEnd(),
    `binance candles BTC/USDT ${time(1)} ${time(3)} unfillable spool_full`,
    `binance order_book ETH/USDT ${time(6)} ${time(9)} unfillable spool_90`,
    `binance order_book BTC/USDT ${time(9)} ${time(9)} unfillable spool_80`,
  ]);
});

test('trades without ids that count make an interval', async () => {
  const { losses, spool, state } = await startLosing({ tradeIds: false });
  losses.dropped(TABLES.trade, line(4, 'BTC/USDT', 'a7\tbuy'), 'spool_full');
  state.pressure = 'roomy';
  await waitFor(() => losses.pending() === 0, { what: 'the row' });
  expect(await gapRows(spool)).toEqual([
    `binance trades BTC/USDT ${time(4)} ${time(4)} unfillable spool_full`,
  ]);
});

test('they outlive the daemon, with what it could not write before its end', async () => {
  const before = await startLosing({ tradeIds: false });
  before.losses.withheld(book(1), 'spool_80');
  const payload = Buffer.from(line(2, 'BTC/USDT', '17\tbuy'));
  const left = { seq: 1, type: 1 as const, table: 1, payload, rows: 1, receivedAt: 0 };
  await before.losses.close([left]);
  expect(await metricValue(before.metrics, 'rowsDropped', { reason: 'spool_full' })).toBe(1);
  await before.folder.close(before.spool);

  const after = await startLosing({ tradeIds: false, folder: before.folder });
  expect(after.losses.pending()).toBe(2);
  after.state.pressure = 'roomy';
  await waitFor(() => after.losses.pending() === 0, { what: 'the rows' });
  expect(await gapRows(after.spool)).toEqual([
    `binance order_book BTC/USDT ${time(1)} ${time(1)} unfillable spool_80`,
    `binance trades BTC/USDT ${time(2)} ${time(2)} unfillable spool_full`,
  ]);
  await after.losses.close([]);
  await after.folder.close(after.spool);
  expect((await startLosing({ folder: before.folder })).losses.pending()).toBe(0);
});

test('what is missing while others are on their way to disk is remembered too', async () => {
  const { losses, spool, state } = await startLosing();
  const remembered = async () => ((await openReserve(spool.folder)).content ?? []) as unknown[];
  const { promise, resolve } = Promise.withResolvers<void>();
  state.written = promise;
  losses.withheld(book(1, 'BTC/USDT'), 'spool_90');
  state.pressure = 'roomy';
  await waitFor(() => losses.pending() === 0, { what: 'the row' });
  losses.withheld(book(2, 'ETH/USDT'), 'spool_90');
  await waitFor(async () => (await remembered()).length === 2, { what: 'both in the reserve' });
  state.pressure = 'full';
  resolve();
  await waitFor(async () => (await remembered()).length === 1, {
    what: 'the first to be forgotten',
  });
  expect(await remembered()).toMatchObject([{ symbol: 'ETH/USDT' }]);
});

test('an interval in which a feed was cut is a row at once, and on a full disk later', async () => {
  const { losses, spool, state } = await startLosing();
  const cut = { channel: 'order_book', fromTime: AT, toTime: AT + 5_000_000 } as const;
  losses.recordGap({ ...cut, symbol: 'BTC/USDT', reason: 'disconnected' });
  expect(losses.pending()).toBe(1);
  state.pressure = 'thin';
  losses.recordGap({ ...cut, symbol: 'ETH/USDT', reason: 'disconnected' });
  expect(losses.pending()).toBe(1);
  state.pressure = 'roomy';
  await waitFor(() => losses.pending() === 0, { what: 'the row' });
  expect((await gapRows(spool)).toSorted()).toEqual([
    `binance order_book BTC/USDT ${time(0)} ${time(5)} unfillable disconnected`,
    `binance order_book ETH/USDT ${time(0)} ${time(5)} unfillable disconnected`,
  ]);
});

test('more streams than the reserve can name share an entry', async () => {
  const { losses, folder, spool } = await startLosing();
  for (let i = 0; i < 5_000; i++)
    losses.withheld(book(i % 60, `${'X'.repeat(50)}${i}/USDT`), 'spool_90');
  expect(losses.pending()).toBeLessThan(1_000);
  await losses.close([]);
  const { content } = await openReserve(spool.folder);
  expect(content).toHaveLength(losses.pending());
  const rows = (content as { rows: number }[]).reduce((sum, loss) => sum + loss.rows, 0);
  expect(rows).toBe(5_000);
  await folder.close(spool);
});

test('of books one in ten seconds is kept from 80 %, none from 90 %', async () => {
  const metrics = createMetrics('binance');
  let pressure: Pressure = 'roomy';
  const withheld: string[] = [];
  const isHeldBack = createThinning({
    spool: { pressure: () => pressure },
    losses: { withheld: (event, reason) => void withheld.push(`${event.symbol} ${reason}`) },
    metrics,
  });
  const kept = () =>
    Array.from({ length: 30 }, (_, second) => second).filter((second) => !isHeldBack(book(second)));
  expect(kept()).toHaveLength(30);
  pressure = 'thin';
  expect(kept()).toEqual([0, 10, 20]);
  expect(isHeldBack(book(29, 'ETH/USDT'))).toBe(false);
  pressure = 'no_books';
  expect(kept()).toEqual([]);
  pressure = 'full';
  expect(kept()).toEqual([]);
  expect(await metricValue(metrics, 'rowsDropped', { reason: 'spool_80' })).toBe(27);
  expect(await metricValue(metrics, 'rowsDropped', { reason: 'spool_90' })).toBe(30);
  expect(await metricValue(metrics, 'rowsDropped', { reason: 'spool_full' })).toBe(30);
  expect(withheld).toHaveLength(87);
});
