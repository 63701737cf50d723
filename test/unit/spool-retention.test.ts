/** Stored rows that stay for a while, and going back to them when the server has forgotten them. */
import { readdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createMetrics } from '../../src/metrics.ts';
import { metricValue } from '../support/daemon.ts';
import {
  appendRow,
  appendRows,
  drain,
  next,
  never,
  numbered,
  spoolFolder,
  storeRows,
  textsOf,
} from '../support/spool.ts';
import { waitFor } from '../support/stack.ts';

const KEPT = { retainSeconds: 3_600, segmentBytes: 300 };

test('stored segments stay for their time, count as stored, and are read again after a restart', async () => {
  const { open, close, segments } = await spoolFolder();
  const metrics = createMetrics('binance');
  const spool = await open(KEPT, metrics);
  await appendRows(spool, numbered(50));
  const kept = await segments();
  expect(kept.length).toBeGreaterThan(3);
  expect(spool.status().bytes).toBeGreaterThan(0);
  expect(await storeRows(spool, 50)).toEqual(numbered(50));
  expect(spool.isEmpty()).toBe(true);
  expect(spool.status()).toMatchObject({ bytes: 0, segments: kept.length, oldestAt: undefined });
  expect(spool.status().retainedBytes).toBeGreaterThan(50 * 20);
  expect(await metricValue(metrics, 'spoolBytes')).toBe(0);
  expect(await metricValue(metrics, 'spoolRetainedBytes')).toBe(spool.status().retainedBytes);
  await close(spool);
  expect(await segments()).toEqual(kept);

  const after = await open(KEPT);
  expect(after.isEmpty()).toBe(false);
  const again = await next(after, { maxRows: 100 });
  expect(again.epoch).toBe(spool.epoch);
  expect(textsOf(again)).toEqual(numbered(50));
});

test('their time counts from when they were written last, over a restart too', async () => {
  const { open, close, folder, segments } = await spoolFolder();
  const before = await open(KEPT);
  await appendRows(before, numbered(50));
  await close(before);
  const [first = '', second = ''] = await segments();
  const longAgo = Date.now() / 1000 - 2 * 3_600;
  for (const name of [first, second]) await utimes(join(folder, name), longAgo, longAgo);

  const spool = await open(KEPT);
  await storeRows(spool, 50);
  const left = await segments();
  expect(left).not.toContain(first);
  expect(left).not.toContain(second);
  expect(left.length).toBeGreaterThan(1);
});

test('they go without a further row once it is over', async () => {
  const { open, segments } = await spoolFolder();
  const spool = await open({ retainSeconds: 1, segmentBytes: 1 });
  await appendRows(spool, numbered(3));
  await storeRows(spool, 3);
  expect(await segments()).toHaveLength(3);
  await waitFor(async () => (await segments()).length === 0, { what: 'segments to go' });
  expect(spool.status()).toMatchObject({ segments: 0, retainedBytes: 0 });
});

test('they make room for what is not stored yet', async () => {
  const { open, folder } = await spoolFolder();
  const maxBytes = 1_000_000;
  const spool = await open({ ...KEPT, segmentBytes: 50_000, maxBytes });
  const row = 'x'.repeat(9_000);
  for (let i = 0; i < 300; i++) {
    await appendRows(spool, [row]);
    await storeRows(spool, 1);
    expect(spool.pressure()).toBe('roomy');
  }
  const names = await readdir(folder);
  const sizes = await Promise.all(
    names.filter((name) => name.endsWith('.seg')).map((name) => stat(join(folder, name))),
  );
  const bytes = sizes.reduce((sum, { size }) => sum + size, 0);
  expect(bytes).toBeGreaterThan(0.6 * maxBytes);
  expect(bytes).toBeLessThan(maxBytes);
});

test('rewind: all that is on disk comes again, batches from before are void, the counts are right', async () => {
  const { open } = await spoolFolder();
  const metrics = createMetrics('binance');
  const pending = () => metricValue(metrics, 'spoolRowsPending');
  const spool = await open({ ...KEPT, memoryBytes: 400 }, metrics);
  await appendRows(spool, numbered(40));
  await storeRows(spool, 21);
  const out = await next(spool, { maxRows: 7 });
  expect(await pending()).toBe(19);

  spool.rewind();
  expect(spool.isEmpty()).toBe(false);
  expect(await pending()).toBe(40);
  await spool.release(out);
  expect(await pending()).toBe(40);
  await appendRows(spool, numbered(5, 'new'));
  expect(await storeRows(spool, 45)).toEqual([...numbered(40), ...numbered(5, 'new')]);
  expect(spool.isEmpty()).toBe(true);
  expect(spool.status().bytes).toBe(0);
  expect(await pending()).toBe(0);

  spool.rewind();
  spool.rewind();
  expect(await pending()).toBe(45);
  expect(await drain(spool)).toHaveLength(45);
  expect(await pending()).toBe(0);
});

test('rewind under a read: it brings what is oldest then', async () => {
  const { open, close } = await spoolFolder();
  const before = await open(KEPT);
  await appendRows(before, numbered(30));
  await close(before);

  const metrics = createMetrics('binance');
  const spool = await open(KEPT, metrics);
  await storeRows(spool, 21);
  const reading = next(spool, { maxRows: 3 });
  spool.rewind();
  const batch = await reading;
  expect(textsOf(batch)[0]).toBe('row 0');
  await spool.release(batch);
  appendRow(spool, 'new');
  await spool.flush(never);
  const rest = await storeRows(spool, 31 - batch.rows);
  expect([...textsOf(batch), ...rest]).toEqual([...numbered(30), 'new']);
  expect(await metricValue(metrics, 'spoolRowsPending')).toBe(0);
});

test('rewind of an empty spool waits for rows as before', async () => {
  const { open } = await spoolFolder();
  const spool = await open();
  spool.rewind();
  const reading = next(spool);
  spool.rewind();
  appendRow(spool, 'first');
  expect(textsOf(await reading)).toEqual(['first']);
});
