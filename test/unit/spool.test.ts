import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
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
  textsOf,
} from '../support/spool.ts';

describe('a spool', () => {
  test('gives rows back in order, and leaves no file when all are stored', async () => {
    const { open, segments } = await spoolFolder();
    const spool = await open();
    for (const row of numbered(100)) appendRow(spool, row);
    expect(await drain(spool)).toEqual(numbered(100));
    await spool.close();
    expect(await segments()).toEqual([]);
  });

  test('has rows on disk before they can be read', async () => {
    const { open, segments, folder } = await spoolFolder();
    const spool = await open();
    appendRow(spool, 'durable');
    expect(textsOf(await next(spool))).toEqual(['durable']);
    const [name = ''] = await segments();
    expect(await readFile(join(folder, name), 'latin1')).toContain('durable\n');
  });

  test('keeps the order when memory is full and rows come back from disk', async () => {
    const { open, segments } = await spoolFolder();
    const spool = await open({ memoryBytes: 200, segmentBytes: 500 });
    const rows = numbered(500);
    await appendRows(spool, rows.slice(0, 300));
    expect((await segments()).length).toBeGreaterThan(5);
    const first = await next(spool, { maxRows: 50 });
    await appendRows(spool, rows.slice(300));
    expect([...textsOf(first), ...(await drain(spool))]).toEqual(rows);
  });

  test('after a crash gives what was not stored, with the identity that it had', async () => {
    const { open, crash, segments } = await spoolFolder();
    const before = await open();
    for (const row of numbered(10)) appendRow(before, row);
    await before.flush(never);
    await before.release(await next(before, { maxRows: 4 }));
    await crash(before);

    const after = await open();
    appendRow(after, 'new');
    const old = await next(after);
    expect(old.epoch).toBe(before.epoch);
    expect(old.frames.map((frame) => frame.seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const own = await next(after);
    expect(own.epoch).toBe(after.epoch);
    expect(textsOf(own)).toEqual(['new']);
    await after.release(old);
    await after.release(own);
    await after.close();
    expect(await segments()).toEqual([]);
  });

  test('does not unlink a segment of which one batch is not stored', async () => {
    const { open, crash, segments } = await spoolFolder();
    const before = await open();
    for (const row of numbered(10)) appendRow(before, row);
    await crash(before);
    const after = await open();
    const first = await next(after, { maxRows: 5 });
    await after.release(await next(after, { maxRows: 5 }));
    expect(await segments()).toHaveLength(1);
    await after.release(first);
    expect(await segments()).toHaveLength(0);
  });

  test('refuses rows, and says so, when the disk does not keep up', async () => {
    const { open } = await spoolFolder();
    const spool = await open({ unwrittenBytes: 100 });
    const row = Buffer.from(`${'x'.repeat(99)}\n`);
    expect(spool.append(1, row, 1, 0)).toBe(true);
    expect(spool.append(1, row, 1, 0)).toBe(true);
    expect(spool.append(1, row, 1, 0)).toBe(false);
    expect(await drain(spool)).toHaveLength(2);
  });

  test('waits for a folder that cannot be written, and goes on in another segment', async () => {
    const { open, folder } = await spoolFolder();
    const metrics = createMetrics('binance');
    const spool = await open({ segmentBytes: 1 }, metrics);
    await appendRows(spool, ['before']);
    await rename(folder, `${folder}-away`);
    appendRow(spool, 'meanwhile');
    await expect.poll(() => metricValue(metrics, 'spoolErrors')).toBe(1);
    expect(spool.status().problem).toBe('ENOENT');
    await rename(`${folder}-away`, folder);
    appendRow(spool, 'after');
    expect(await drain(spool)).toEqual(['before', 'meanwhile', 'after']);
    expect(spool.status().problem).toBeUndefined();
  });

  test('what was accepted maxDelayMs ago does not wait for others once more', async () => {
    const { open } = await spoolFolder();
    const spool = await open();
    appendRow(spool, 'first');
    await spool.flush(never);
    const real = performance.now.bind(performance);
    const later = vi.spyOn(performance, 'now').mockImplementation(() => real() + 600_000);
    onTestFinished(() => later.mockRestore());
    expect(textsOf(await next(spool, { maxDelayMs: 600_000 }))).toEqual(['first']);
  });

  test('knows how long the oldest row has waited, also while it is being stored', async () => {
    const { open } = await spoolFolder();
    const spool = await open();
    expect(spool.status().oldestAt).toBeUndefined();
    spool.append(1, Buffer.from('a\n'), 1, 1_000);
    spool.append(1, Buffer.from('b\n'), 1, 2_000);
    await spool.flush(never);
    const first = await next(spool, { maxRows: 1 });
    expect(spool.status().oldestAt).toBe(1_000);
    await spool.release(first);
    expect(spool.status().oldestAt).toBe(2_000);
    await spool.release(await next(spool));
    expect(spool.status().oldestAt).toBeUndefined();
  });

  test('lets one process in, and names it to the other', async () => {
    const { open } = await spoolFolder();
    await open();
    await expect(open()).rejects.toMatchObject({
      code: 'spool_locked',
      message: expect.stringContaining(`process ${process.pid} on `),
    });
  });

  test('leaves alone what is not its own', async () => {
    const { open, folder } = await spoolFolder();
    const spool = await open();
    await writeFile(join(folder, 'notes.txt'), 'mine');
    appendRow(spool, 'row');
    await drain(spool);
    await spool.close();
    expect(await readFile(join(folder, 'notes.txt'), 'utf8')).toBe('mine');
  });
});
