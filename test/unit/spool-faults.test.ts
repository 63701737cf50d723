/** A disk that fails, shortens a write, or is full: nothing that was accepted is lost. */
import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { createMetrics } from '../../src/metrics.ts';
import { capOf } from '../../src/writers/spool-room.ts';
import { metricValue } from '../support/daemon.ts';
import { disk, diskError, type Operation, resetDisk } from '../support/fake-disk.ts';
import {
  appendRow,
  appendRows,
  drain,
  logger,
  next,
  never,
  numbered,
  spoolFolder,
  storeRows,
  textsOf,
} from '../support/spool.ts';
import { waitFor } from '../support/stack.ts';

vi.mock('node:fs/promises', async (original) => {
  const { fakeDisk } = await import('../support/fake-disk.ts');
  return fakeDisk(await original());
});

afterEach(resetDisk);

/** The next operation of this kind fails. */
function failOnce(kind: Operation['kind'], code: string): void {
  disk.fault = (operation) => {
    if (operation.kind !== kind) return;
    disk.fault = undefined;
    throw diskError(code);
  };
}

const of = (kind: Operation['kind']) =>
  disk.log.flatMap((operation) =>
    operation.kind === kind && 'path' in operation && operation.path.endsWith('.seg')
      ? [operation.path]
      : [],
  );

test('an fsync that fails is not tried again on that file: the rows go to a new one', async () => {
  const { open, segments, folder } = await spoolFolder();
  const spool = await open({ retainSeconds: 3_600 });
  await appendRows(spool, ['first']);
  const [before] = of('sync');
  const syncs = of('sync').length;
  failOnce('sync', 'EIO');
  appendRow(spool, 'second');
  await spool.flush(never);
  const after = of('sync').slice(syncs);
  expect(after.length).toBeGreaterThan(0);
  expect(after).not.toContain(before);
  expect(await drain(spool)).toEqual(['first', 'second']);
  // The first file was cut back to what is known to be on disk.
  const names = await segments();
  const contents = await Promise.all(names.map((name) => readFile(join(folder, name), 'latin1')));
  expect(contents.map((text) => text.match(/first|second/g))).toEqual([['first'], ['second']]);
});

test('nor does it matter when that file cannot be cut back: each row comes once, none counts as lost', async () => {
  const { open } = await spoolFolder();
  const metrics = createMetrics('binance');
  const spool = await open({ retainSeconds: 3_600, memoryBytes: 1 }, metrics);
  await appendRows(spool, ['first']);
  let failed = 0;
  disk.fault = ({ kind }) => {
    if (failed < 2 && (kind === 'sync' || kind === 'truncate')) {
      failed++;
      throw diskError('EIO');
    }
  };
  await appendRows(spool, ['second', 'third']);
  expect(failed).toBe(2);
  // The old file may hold the second one too, further than it counts as written.
  expect(await storeRows(spool, 3)).toEqual(['first', 'second', 'third']);
  spool.rewind();
  expect(await drain(spool)).toEqual(['first', 'second', 'third']);
  expect(await metricValue(metrics, 'rowsDropped')).toBe(0);
  expect(await metricValue(metrics, 'spoolRowsPending')).toBe(0);
});

test('what this run wrote and the disk damaged is counted as dropped', async () => {
  const { open, segments, folder } = await spoolFolder();
  const metrics = createMetrics('binance');
  const spool = await open({ memoryBytes: 1, segmentBytes: 200 }, metrics);
  await appendRows(spool, numbered(20));
  const [, name = ''] = await segments();
  const path = join(folder, name);
  const bytes = await readFile(path);
  bytes.write('XXX', bytes.indexOf('row '));
  await writeFile(path, bytes);
  expect(await drain(spool)).toHaveLength(19);
  await spool.close();
  expect(await metricValue(metrics, 'rowsDropped', { reason: 'spool_corrupt' })).toBe(1);
  expect(await metricValue(metrics, 'spoolRowsPending')).toBe(0);
});

test('rows on their way from disk are not stored: nothing counts them as lost, or unlinks their segment', async () => {
  const { open, segments } = await spoolFolder();
  const metrics = createMetrics('binance');
  const spool = await open({ memoryBytes: 1, segmentBytes: 1 }, metrics);
  await appendRows(spool, numbered(4));
  const first = await next(spool, { maxRows: 1 });
  const names = await segments();
  let released: Promise<void> | undefined;
  disk.fault = (operation) => {
    // The second and third have been read, the fourth has not.
    const isFourth = 'path' in operation && operation.path.endsWith(names[3] ?? '');
    if (isFourth) released ??= spool.release(first);
  };
  const rest = await next(spool);
  await released;
  expect(textsOf(rest)).toEqual(['row 1', 'row 2', 'row 3']);
  expect(await segments()).toEqual(names.slice(1));
  expect(await metricValue(metrics, 'rowsDropped')).toBe(0);
  expect(await metricValue(metrics, 'spoolRowsPending')).toBe(3);
  await spool.release(rest);
  expect(await metricValue(metrics, 'spoolRowsPending')).toBe(0);
});

test('a segment that cannot be opened for now costs nothing that was read before it', async () => {
  const { open, segments } = await spoolFolder();
  const spool = await open({ memoryBytes: 1, segmentBytes: 1 });
  await appendRows(spool, numbered(4));
  const [, , third = ''] = await segments();
  disk.fault = (operation) => {
    if (!('path' in operation) || !operation.path.endsWith(third)) return;
    disk.fault = undefined;
    throw diskError('EMFILE');
  };
  const rows = [];
  while (rows.length < 4) {
    const batch = await next(spool).catch(() => undefined);
    if (batch) rows.push(...textsOf(batch));
  }
  expect(rows).toEqual(numbered(4));
});

test('a file that somebody cuts short under it costs what is cut off', async () => {
  const { open, segments, folder } = await spoolFolder();
  const metrics = createMetrics('binance');
  const spool = await open({ memoryBytes: 1, segmentBytes: 200 }, metrics);
  await appendRows(spool, numbered(20));
  const [, name = ''] = await segments();
  const { size } = await stat(join(folder, name));
  await truncate(join(folder, name), size - 5);
  expect(await drain(spool)).toHaveLength(19);
  await spool.close();
  expect(await metricValue(metrics, 'rowsDropped', { reason: 'spool_corrupt' })).toBe(1);
  expect(await metricValue(metrics, 'spoolRowsPending')).toBe(0);
});

test('a write that is cut short goes on where it ended', async () => {
  const { open, segments } = await spoolFolder();
  const spool = await open();
  disk.fault = (operation) =>
    operation.kind === 'write' ? Math.ceil(operation.bytes.length / 3) : undefined;
  for (const row of numbered(50)) appendRow(spool, row);
  expect(await drain(spool)).toEqual(numbered(50));
  expect(await segments()).toHaveLength(1);
});

test('a write that is cut short and then fails leaves no half frame', async () => {
  const { open, crash } = await spoolFolder();
  const spool = await open();
  await appendRows(spool, ['first']);
  let writes = 0;
  disk.fault = (operation) => {
    if (operation.kind !== 'write') return undefined;
    if (++writes === 1) return 10;
    disk.fault = undefined;
    throw diskError('ENOSPC');
  };
  await appendRows(spool, ['second']);
  await crash(spool);
  const metrics = createMetrics('binance');
  expect(await drain(await open({}, metrics))).toEqual(['first', 'second']);
  expect(await metricValue(metrics, 'spoolTornBytes')).toBe(0);
  expect(await metricValue(metrics, 'spoolCorruptFrames')).toBe(0);
});

test('a file that could neither be begun nor removed does not keep the next from being made', async () => {
  const { open } = await spoolFolder();
  const spool = await open();
  let failed = 0;
  disk.fault = ({ kind }) => {
    if (kind !== 'sync' && kind !== 'unlink') return;
    if (++failed === 2) disk.fault = undefined;
    throw diskError('EIO');
  };
  appendRow(spool, 'waits');
  expect(await drain(spool)).toEqual(['waits']);
  expect(failed).toBe(2);
});

test('a disk that stays full: retained rows go, no file for each attempt, all is written in the end', async () => {
  const { open, segments } = await spoolFolder();
  const spool = await open({ retainSeconds: 3_600, segmentBytes: 1 });
  await appendRows(spool, numbered(3));
  for (let i = 0; i < 3; i++) await spool.release(await next(spool, { maxRows: 1 }));
  expect(await segments()).toHaveLength(3);
  let attempts = 0;
  disk.fault = (operation) => {
    if (operation.kind !== 'write') return undefined;
    attempts++;
    throw diskError('ENOSPC');
  };
  appendRow(spool, 'waits');
  await waitFor(() => attempts >= 3, { what: 'three attempts' });
  expect(spool.pressure()).toBe('full');
  expect(spool.status()).toMatchObject({ problem: 'ENOSPC', segments: 0, retainedBytes: 0 });
  expect((await segments()).length).toBeLessThanOrEqual(1);
  disk.fault = undefined;
  expect(await drain(spool)).toEqual(['waits']);
  expect(spool.pressure()).toBe('roomy');
});

test('at its cap it takes rows into memory, and to disk again as others are stored', async () => {
  const { open } = await spoolFolder();
  const metrics = createMetrics('binance');
  const spool = await open({ maxBytes: 100_000, memoryBytes: 1, unwrittenBytes: 50_000 }, metrics);
  const rows = Array.from({ length: 12 }, (_, i) => `${i} ${'x'.repeat(9_000)}`);
  const seen = new Set<string>();
  for (const row of rows.slice(0, 10)) {
    await appendRows(spool, [row]);
    seen.add(spool.pressure());
  }
  expect([...seen]).toEqual(['roomy', 'thin', 'no_books']);
  for (const row of rows.slice(10)) appendRow(spool, row);
  await waitFor(() => spool.pressure() === 'full', { what: 'the cap' });
  expect(spool.status().unwrittenBytes).toBeGreaterThan(9_000);
  expect(await storeRows(spool, rows.length)).toEqual(rows);
  expect(spool.pressure()).toBe('roomy');
  expect(await metricValue(metrics, 'spoolRowsPending')).toBe(0);
});

test('closed while the disk is full, it says what it could not write', async () => {
  const { open } = await spoolFolder();
  const metrics = createMetrics('binance');
  const spool = await open({}, metrics);
  await appendRows(spool, ['on disk']);
  disk.fault = (operation) => {
    if (operation.kind === 'write') throw diskError('ENOSPC');
  };
  appendRow(spool, 'waits');
  await waitFor(() => spool.pressure() === 'full', { what: 'the disk to be full' });
  const left = await spool.seal();
  expect(left.map(({ payload }) => payload.toString())).toEqual(['waits\n']);
  expect(await metricValue(metrics, 'spoolRowsPending')).toBe(1);
});

test('a cap that the volume cannot hold is refused; the default fits itself to it', async () => {
  const { directory } = await spoolFolder();
  await expect(capOf(directory, Number.MAX_SAFE_INTEGER, logger)).rejects.toThrow(UsageError);
  await expect(capOf(directory, Number.MAX_SAFE_INTEGER, logger)).rejects.toMatchObject({
    code: 'spool_too_large',
    message: expect.stringMatching(/80 % of the volume of .*set it to \d+ or less/),
  });
  expect(await capOf(directory, 1_048_576, logger)).toBe(1_048_576);
  expect(await capOf(directory, undefined, logger)).toBeLessThanOrEqual(4 * 1024 ** 3);
});
