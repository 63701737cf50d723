/** What a crash, a bad disk or somebody's hand leaves: never a wrong row, never a refusal to start. */
import { chmod, mkdir, readdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createMetrics } from '../../src/metrics.ts';
import { listSegments, newSegment, setAside } from '../../src/writers/spool-files.ts';
import { encodeFrames, encodeSegmentHeader } from '../../src/writers/spool-format.ts';
import { createSegmentReader } from '../../src/writers/spool-reader.ts';
import { metricValue } from '../support/daemon.ts';
import { disk, diskError, images, resetDisk } from '../support/fake-disk.ts';
import { appendRows, drain, LIMITS, logger, numbered, spoolFolder } from '../support/spool.ts';

vi.mock('node:fs/promises', async (original) => {
  const { fakeDisk } = await import('../support/fake-disk.ts');
  return fakeDisk(await original());
});

const RUNS = 10_000;
const EPOCH = '0123456789abcdef';
const FOLDER = '/image';
const NAME = `${FOLDER}/0000000000000001-${EPOCH}.seg`;
const metrics = createMetrics('binance');

afterEach(resetDisk);

/** Of frames as long as these, with the byte at which each ends. */
function segment(lengths: readonly number[], firstSeq = 1) {
  const frames = lengths.map((length, i) => ({
    seq: firstSeq + i,
    type: 1 as const,
    table: 1,
    payload: Buffer.from(`${firstSeq + i} ${'x'.repeat(length)}\n`),
  }));
  const header = encodeSegmentHeader({ exchange: 'binance', epoch: EPOCH, firstSeq });
  const bytes = Buffer.concat([header, encodeFrames(frames)]);
  let end = header.length;
  const ends = frames.map(({ payload }) => (end += 20 + payload.length));
  return { bytes, ends, rows: frames.map(({ payload }) => payload.toString()) };
}

async function rowsIn(bytes: Buffer): Promise<string[]> {
  images.set(NAME, bytes);
  const segments = await listSegments(FOLDER, logger);
  const reader = createSegmentReader({ exchange: 'binance', segments, metrics, logger });
  const rows: string[] = [];
  while (!reader.isAtEnd()) {
    const frames = await reader.read({ ...LIMITS, maxRows: 7 });
    rows.push(...frames.map(({ payload }) => payload.toString()));
  }
  return rows;
}

const lengths = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 });

describe(`${RUNS} times`, () => {
  test('a flipped bit costs the frame that it is in, and no other', async () => {
    await fc.assert(
      fc.asyncProperty(lengths, fc.nat(), fc.nat(7), async (list, place, bit) => {
        const { bytes, ends, rows } = segment(list);
        const at = place % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        const hit = at < 32 ? -1 : ends.findIndex((end) => at < end);
        expect(await rowsIn(bytes)).toEqual(rows.filter((_, i) => i !== hit));
      }),
      { numRuns: RUNS },
    );
  });

  test('an end cut anywhere costs the frames that it touches, and no other', async () => {
    await fc.assert(
      fc.asyncProperty(lengths, fc.nat(), async (list, place) => {
        const { bytes, ends, rows } = segment(list);
        const length = place % (bytes.length + 1);
        const kept = ends.filter((end) => end <= length).length;
        expect(await rowsIn(bytes.subarray(0, length))).toEqual(rows.slice(0, kept));
      }),
      { numRuns: RUNS },
    );
  });

  test('any bytes in the middle cost the frames that they touch, and make none up', async () => {
    await fc.assert(
      fc.asyncProperty(
        lengths,
        fc.nat(),
        fc.uint8Array({ maxLength: 300 }),
        async (list, place, junk) => {
          const { bytes, ends, rows } = segment(list);
          const at = 32 + (place % (bytes.length - 32));
          Buffer.from(junk).copy(bytes, at);
          const start = (i: number) => ends[i - 1] ?? 32;
          const whole = (i: number) => (ends[i] ?? 0) <= at || start(i) >= at + junk.length;
          const found = await rowsIn(bytes);
          // Some bytes are what they were.
          expect(found).toEqual(expect.arrayContaining(rows.filter((_, i) => whole(i))));
          expect(rows).toEqual(expect.arrayContaining(found));
        },
      ),
      { numRuns: RUNS / 10 },
    );
  });
});

test('a long frame that is damaged does not hide what is behind it, a chunk further on', async () => {
  const { bytes, rows } = segment([1_000_000, 1_000_000, 1_000_000, 5]);
  bytes.writeUInt32LE(7, 32);
  expect(await rowsIn(bytes)).toEqual(rows.slice(1));
});

test('of a group that was written twice, the first time with a hole, the second copy counts', async () => {
  const first = segment([10, 10, 10, 10, 10]);
  const again = segment([10, 10], 4);
  // As a crash leaves a write that failed: the fourth frame is not there, the fifth is.
  first.bytes.fill(0, first.ends[2], first.ends[3]);
  images.set(NAME.replace('1-', '2-'), again.bytes);
  expect(await rowsIn(first.bytes)).toEqual([...first.rows.slice(0, 3), ...again.rows]);
});

/** What a spool left, row by row, in one segment. */
async function leftBehind(count: number) {
  const made = await spoolFolder();
  const spool = await made.open({ fsync: 'os' });
  await appendRows(spool, numbered(count));
  await made.crash(spool);
  const [name = ''] = await made.segments();
  const path = join(made.folder, name);
  const readMetrics = createMetrics('binance');

  async function recovered(): Promise<string[]> {
    const next = await made.open({ fsync: 'os' }, readMetrics);
    const rows = await drain(next);
    await made.close(next);
    return rows;
  }

  const corrupt = () => metricValue(readMetrics, 'spoolCorruptFrames');
  return { ...made, path, name, bytes: await readFile(path), recovered, corrupt };
}

test('a damaged payload costs one frame; the segment is kept aside', async () => {
  const { path, bytes, folder, recovered, segments, corrupt } = await leftBehind(20);
  bytes.write('XXX', bytes.indexOf('row 7'));
  await writeFile(path, bytes);
  expect(await recovered()).toEqual(numbered(20).filter((row) => row !== 'row 7'));
  expect(await corrupt()).toBe(1);
  expect(await readdir(join(folder, 'corrupt'))).toHaveLength(1);
  expect(await segments()).toEqual([]);
});

test('zeros at the end, as a power cut leaves them, are a torn end', async () => {
  const { path, bytes, recovered, segments, corrupt } = await leftBehind(5);
  await writeFile(path, Buffer.concat([bytes, Buffer.alloc(100)]));
  expect(await recovered()).toEqual(numbered(5));
  expect(await corrupt()).toBe(0);
  expect(await segments()).toEqual([]);
});

test('a damaged header costs nothing', async () => {
  const { path, bytes, recovered } = await leftBehind(5);
  bytes.write('XXXX', 0);
  await writeFile(path, bytes);
  expect(await recovered()).toEqual(numbered(5));
});

test.for<[string, (header: Buffer) => void]>([
  ['another version', (header) => header.writeUInt16LE(2, 4)],
  ['another exchange', (header) => header.writeUInt32LE(crc32('kraken'), 8)],
])('a file of %s is left to whom it may concern', async ([, change]) => {
  const { path, bytes, name, folder, recovered } = await leftBehind(5);
  change(bytes);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28);
  await writeFile(path, bytes);
  expect(await recovered()).toEqual([]);
  expect(await readFile(join(folder, 'unread', name))).toEqual(bytes);
});

test('a file that may not be read is left where it can be', async () => {
  const { path, bytes, name, folder, recovered, corrupt } = await leftBehind(5);
  await chmod(path, 0);
  // Root may read anything.
  disk.fault = (operation) => {
    if (operation.kind === 'create' && operation.path === path) throw diskError('EACCES');
  };
  expect(await recovered()).toEqual([]);
  disk.fault = undefined;
  expect(await corrupt()).toBe(1);
  expect(await readFile(join(folder, 'unread', name))).toEqual(bytes);
});

test('empty files, garbage, folders, broken links and holes between them: the rest is there', async () => {
  const { path, folder, bytes, recovered } = await leftBehind(5);
  const named = (generation: string) =>
    join(folder, `${generation.padStart(16, '0')}-${EPOCH}.seg`);
  await writeFile(named('2'), '');
  await writeFile(named('3'), bytes.subarray(0, 20));
  await writeFile(named('4'), Buffer.alloc(32));
  await writeFile(named('5'), 'this is no segment, and was never one');
  await mkdir(named('6'));
  await symlink('nowhere', named('7'));
  await writeFile(named('9'.repeat(16)), '');
  await writeFile(path.replace('0000000000000001', '0000000000000099'), bytes);
  await truncate(path, bytes.indexOf('row 3'));
  expect(await recovered()).toEqual(numbered(5));
  // And none of it is in the way of what comes.
  expect(await recovered()).toEqual([]);
});

test('what was damaged is kept up to a bound, the newest of it', async () => {
  const { folder } = await spoolFolder();
  await mkdir(folder);
  for (let generation = 1; generation <= 5; generation++) {
    const path = join(folder, `${String(generation).padStart(16, '0')}-${EPOCH}.seg`);
    await writeFile(path, Buffer.alloc(100));
    const known = { path, generation, epoch: EPOCH, openedAtMs: 0, writtenAtMs: 0 };
    const damaged = newSegment({ ...known, readable: 100, finished: true });
    await setAside(folder, { ...damaged, keep: 'corrupt' }, 250);
  }
  const kept = await readdir(join(folder, 'corrupt'));
  expect(kept.toSorted().map((name) => Number(name.slice(0, 16)))).toEqual([4, 5]);
});
