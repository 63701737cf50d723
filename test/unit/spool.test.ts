import { mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { configSchema } from '../../src/config.ts';
import { createMetrics } from '../../src/metrics.ts';
import { type Batch, openSpool, type Spool } from '../../src/writers/spool.ts';

const LIMITS = { maxRows: 1000, maxBytes: 1 << 20, maxDelayMs: 0 };
const logger = pino({ level: 'silent' });
const never = new AbortController().signal;
const defaults = configSchema.parse({}).spool;

let directory: string;
let folder: string;
let open: Spool[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'spool-'));
  folder = join(directory, 'binance');
  open = [];
});

afterEach(async () => {
  for (const spool of open) await spool.close();
  await rm(directory, { recursive: true, force: true });
});

async function spoolOf(
  settings: Partial<typeof defaults> = {},
  metrics = createMetrics('binance'),
) {
  const config = { ...defaults, directory, ...settings };
  const spool = await openSpool({ exchange: 'binance', config, metrics, logger });
  open.push(spool);
  return spool;
}

/** As kill -9 would leave it: files and all, but for the lock. */
async function crash(spool: Spool): Promise<void> {
  await spool.flush(never);
  const files = new Map<string, Buffer>();
  for (const name of await segmentNames()) files.set(name, await readFile(join(folder, name)));
  open = open.filter((other) => other !== spool);
  await spool.close();
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
}

async function segmentNames(): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.seg')).toSorted();
}

function appendRow(spool: Spool, text: string, table = 1): void {
  expect(spool.append(table, Buffer.from(`${text}\n`), 1, Date.now() * 1000)).toBe(true);
}

/** Reads and releases until the spool is empty. */
async function drain(spool: Spool, limits = LIMITS): Promise<string[]> {
  await spool.flush(never);
  spool.end();
  const rows: string[] = [];
  for (
    let batch = await spool.read(limits, never);
    batch;
    batch = await spool.read(limits, never)
  ) {
    rows.push(...textsOf(batch));
    await spool.release(batch);
  }
  return rows;
}

function textsOf(batch: Batch): string[] {
  return batch.frames.flatMap((frame) => frame.payload.toString().trimEnd().split('\n'));
}

const numbered = (count: number, prefix = 'row') =>
  Array.from({ length: count }, (_, i) => `${prefix} ${i}`);

describe('a spool', () => {
  test('gives rows back in order, and leaves no file when all are stored', async () => {
    const spool = await spoolOf();
    for (const row of numbered(100)) appendRow(spool, row);
    expect(await drain(spool)).toEqual(numbered(100));
    await spool.close();
    expect(await segmentNames()).toEqual([]);
  });

  test('has rows on disk before they can be read', async () => {
    const spool = await spoolOf();
    appendRow(spool, 'durable');
    const batch = await spool.read(LIMITS, never);
    expect(batch && textsOf(batch)).toEqual(['durable']);
    const [name = ''] = await segmentNames();
    expect(await readFile(join(folder, name), 'latin1')).toContain('durable\n');
  });

  test('keeps the order when memory is full and rows come back from disk', async () => {
    const spool = await spoolOf({ memoryBytes: 200, segmentBytes: 500 });
    const rows = numbered(500);
    for (const row of rows.slice(0, 300)) {
      appendRow(spool, row);
      await spool.flush(never);
    }
    expect((await segmentNames()).length).toBeGreaterThan(5);
    const first = await spool.read({ ...LIMITS, maxRows: 50 }, never);
    for (const row of rows.slice(300)) {
      appendRow(spool, row);
      await spool.flush(never);
    }
    expect(first && [...textsOf(first), ...(await drain(spool))]).toEqual(rows);
  });

  test('after a crash gives what was not stored, with the identity that it had', async () => {
    const before = await spoolOf();
    for (const row of numbered(10)) appendRow(before, row);
    await before.flush(never);
    const stored = await before.read({ ...LIMITS, maxRows: 4 }, never);
    if (stored) await before.release(stored);
    await crash(before);

    const after = await spoolOf();
    appendRow(after, 'new');
    const old = await after.read(LIMITS, never);
    expect(old?.epoch).toBe(before.epoch);
    expect(old?.frames.map((frame) => frame.seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const next = await after.read(LIMITS, never);
    expect(next?.epoch).toBe(after.epoch);
    expect(next && textsOf(next)).toEqual(['new']);
    if (old) await after.release(old);
    if (next) await after.release(next);
    await after.close();
    expect(await segmentNames()).toEqual([]);
  });

  test('does not unlink a segment of which one batch is not stored', async () => {
    const before = await spoolOf();
    for (const row of numbered(10)) appendRow(before, row);
    await crash(before);
    const after = await spoolOf();
    const first = await after.read({ ...LIMITS, maxRows: 5 }, never);
    const second = await after.read({ ...LIMITS, maxRows: 5 }, never);
    if (second) await after.release(second);
    expect(await segmentNames()).toHaveLength(1);
    if (first) await after.release(first);
    expect(await segmentNames()).toHaveLength(0);
  });

  test('refuses rows, and says so, when the disk does not keep up', async () => {
    const spool = await spoolOf({ unwrittenBytes: 100 });
    const row = Buffer.from(`${'x'.repeat(99)}\n`);
    expect(spool.append(1, row, 1, 0)).toBe(true);
    expect(spool.append(1, row, 1, 0)).toBe(true);
    expect(spool.append(1, row, 1, 0)).toBe(false);
    expect(await drain(spool)).toHaveLength(2);
  });

  test('waits for a folder that cannot be written, and goes on in another segment', async () => {
    const metrics = createMetrics('binance');
    const spool = await spoolOf({ segmentBytes: 1 }, metrics);
    appendRow(spool, 'before');
    await spool.flush(never);
    await rename(folder, `${folder}-away`);
    appendRow(spool, 'meanwhile');
    await expect.poll(async () => (await metrics.spoolErrors.get()).values[0]?.value).toBe(1);
    await rename(`${folder}-away`, folder);
    appendRow(spool, 'after');
    expect(await drain(spool)).toEqual(['before', 'meanwhile', 'after']);
  });

  test('knows how long the oldest row has waited, also while it is being stored', async () => {
    const spool = await spoolOf();
    expect(spool.status().oldestAt).toBeUndefined();
    spool.append(1, Buffer.from('a\n'), 1, 1_000);
    spool.append(1, Buffer.from('b\n'), 1, 2_000);
    await spool.flush(never);
    const first = await spool.read({ ...LIMITS, maxRows: 1 }, never);
    expect(spool.status().oldestAt).toBe(1_000);
    if (first) await spool.release(first);
    expect(spool.status().oldestAt).toBe(2_000);
    const second = await spool.read(LIMITS, never);
    if (second) await spool.release(second);
    expect(spool.status().oldestAt).toBeUndefined();
  });

  test('lets one process in, and names it to the other', async () => {
    await spoolOf();
    await expect(spoolOf()).rejects.toMatchObject({
      code: 'spool_locked',
      message: expect.stringContaining(`process ${process.pid}`),
    });
  });

  test('leaves alone what is not its own', async () => {
    const spool = await spoolOf();
    await writeFile(join(folder, 'notes.txt'), 'mine');
    appendRow(spool, 'row');
    await drain(spool);
    await spool.close();
    expect(await readFile(join(folder, 'notes.txt'), 'utf8')).toBe('mine');
  });
});

describe('what a crash or a bad disk leaves', () => {
  async function spooled(count: number): Promise<{ path: string; bytes: Buffer }> {
    const spool = await spoolOf({ fsync: 'os' });
    for (const row of numbered(count)) {
      appendRow(spool, row);
    }
    await crash(spool);
    const [name = ''] = await segmentNames();
    const path = join(folder, name);
    return { path, bytes: await readFile(path) };
  }

  async function recovered(): Promise<string[]> {
    const spool = await spoolOf({ fsync: 'os' });
    const rows = await drain(spool);
    open = open.filter((other) => other !== spool);
    await spool.close();
    return rows;
  }

  test('an end cut anywhere costs the frames that it touches, and no others', async () => {
    const { path, bytes } = await spooled(20);
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length), async (length) => {
        await writeFile(path, bytes);
        await truncate(path, length);
        const rows = await recovered();
        expect(rows).toEqual(numbered(20).slice(0, rows.length));
        const kept = bytes.toString('latin1', 0, length).match(/row \d+\n/g)?.length ?? 0;
        expect(rows.length).toBe(kept);
        await rm(join(folder, 'corrupt'), { recursive: true, force: true });
      }),
      { numRuns: 100 },
    );
  });

  test('a flipped bit never yields a wrong row, and never keeps the spool from opening', async () => {
    const { path, bytes } = await spooled(20);
    const all = new Set(numbered(20));
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), async (at, bit) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
        await writeFile(path, damaged);
        const rows = await recovered();
        expect(rows.filter((row) => !all.has(row))).toEqual([]);
        expect(new Set(rows).size).toBe(rows.length);
        await rm(join(folder, 'corrupt'), { recursive: true, force: true });
      }),
      { numRuns: 200 },
    );
  });

  test('a damaged payload costs one frame; the segment is kept aside', async () => {
    const { path, bytes } = await spooled(20);
    const damaged = Buffer.from(bytes);
    damaged.write('XXX', bytes.indexOf('row 7'));
    await writeFile(path, damaged);
    expect(await recovered()).toEqual(numbered(20).filter((row) => row !== 'row 7'));
    expect(await readdir(join(folder, 'corrupt'))).toHaveLength(1);
    expect(await segmentNames()).toEqual([]);
  });

  test('zeros at the end, as a power cut leaves them, are a torn end', async () => {
    const { path, bytes } = await spooled(5);
    await writeFile(path, Buffer.concat([bytes, Buffer.alloc(100)]));
    expect(await recovered()).toEqual(numbered(5));
    expect(await segmentNames()).toEqual([]);
  });

  test('a file of another version is set aside, not read and not deleted', async () => {
    const { path, bytes } = await spooled(5);
    const other = Buffer.from(bytes);
    other.writeUInt16LE(2, 4);
    await writeFile(path, other);
    expect(await recovered()).toEqual([]);
    expect(await readdir(join(folder, 'corrupt'))).toHaveLength(1);
  });
});
