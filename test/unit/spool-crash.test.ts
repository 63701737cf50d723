/**
 * Power cuts, by a model of the disk: what the spool really does to its files is recorded, and from
 * every moment of that many states are made that a cut may leave. Each is read by the real reader.
 */
import type * as nodeTimers from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import type { Config } from '../../src/config.ts';
import { createMetrics } from '../../src/metrics.ts';
import { listSegments } from '../../src/writers/spool-files.ts';
import { createSegmentReader } from '../../src/writers/spool-reader.ts';
import { createDiskModel } from '../support/crash-images.ts';
import { disk, diskError, images, type Operation, resetDisk } from '../support/fake-disk.ts';
import { createRandom } from '../support/random.ts';
import { logger, next, never, spoolFolder } from '../support/spool.ts';

vi.mock('node:fs/promises', async (original) => {
  const { fakeDisk } = await import('../support/fake-disk.ts');
  return fakeDisk(await original());
});

/** The spool waits a second after each failure. */
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof nodeTimers>();
  return { ...timers, setTimeout: () => timers.setImmediate() };
});

const IMAGES = Number(process.env['CRASH_IMAGES'] ?? 50_000);
const RUNS = 40;
const FOLDER = '/image';
const metrics = createMetrics('binance');
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);

afterEach(resetDisk);

type Step =
  | { readonly do: 'append'; readonly rows: number; readonly length: number }
  | { readonly do: 'store' }
  | { readonly do: 'fail'; readonly at: 'write' | 'sync' | 'create' }
  | { readonly do: 'short' };

const steps = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        rows: fc.integer({ min: 1, max: 4 }),
        length: fc.integer({ min: 1, max: 1_500 }),
      }),
    },
    { weight: 3, arbitrary: fc.constant({ do: 'store' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'short' as const }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Step>(
        { do: 'fail', at: 'write' },
        { do: 'fail', at: 'sync' },
        { do: 'fail', at: 'create' },
      ),
    },
  ),
  { minLength: 8, maxLength: 20 },
);

const payloadOf = (seq: number, length: number) => `${seq} ${'x'.repeat(length)}\n`;

/** What a spool does to its disk while it goes through the steps, and the rows that it was given. */
async function record(list: readonly Step[], fsync: Config['spool']['fsync']) {
  const { open, close, folder } = await spoolFolder();
  const spool = await open({ fsync, segmentBytes: 4_096 });
  resetDisk();
  const rows = new Map<number, string>();
  for (const step of list) {
    if (step.do === 'append') {
      for (let i = 0; i < step.rows; i++) {
        const seq = rows.size + 1;
        const row = payloadOf(seq, step.length);
        rows.set(seq, row);
        spool.append(1, Buffer.from(row), 1, 0);
      }
      await spool.flush(never);
      disk.log.push({ kind: 'accepted', seq: rows.size });
    } else if (step.do === 'store') {
      if (spool.isEmpty()) continue;
      const batch = await next(spool, { maxRows: 3 });
      // Stored by then, says the server.
      disk.log.push({ kind: 'stored', seq: batch.frames.at(-1)?.seq ?? 0 });
      await spool.release(batch);
    } else {
      failOnce(step);
    }
  }
  const { log } = disk;
  disk.fault = undefined;
  await close(spool);
  return { log, rows, folder };
}

function failOnce(step: Extract<Step, { do: 'fail' | 'short' }>): void {
  disk.fault = (operation) => {
    if (operation.kind !== (step.do === 'short' ? 'write' : step.at)) return undefined;
    disk.fault = undefined;
    if (step.do === 'fail') throw diskError(step.at === 'create' ? 'ENOSPC' : 'EIO');
    return Math.ceil((operation as { bytes?: Buffer }).bytes!.length / 2);
  };
}

/** Crashes at moments of the log. Counts images in which an accepted row is lost, or one is wrong. */
async function crash(
  { log, rows, folder }: Awaited<ReturnType<typeof record>>,
  count: number,
  random: () => number,
) {
  const model = createDiskModel();
  const each = Math.ceil(count / log.length);
  const found = { images: 0, lost: 0, wrong: 0 };
  let accepted = 0;
  let stored = 0;
  for (const operation of log) {
    if (operation.kind === 'accepted') accepted = operation.seq;
    else if (operation.kind === 'stored') stored = operation.seq;
    else model.apply(operation);
    for (let i = 0; i < each; i++) {
      images.clear();
      for (const [path, bytes] of model.image(random)) {
        images.set(path.replace(folder, FOLDER), bytes);
      }
      const read = await recovered();
      found.images++;
      if ([...read].some(([seq, row]) => rows.get(seq) !== row)) found.wrong++;
      for (let seq = stored + 1; seq <= accepted; seq++) {
        if (read.has(seq)) continue;
        found.lost++;
        break;
      }
    }
  }
  return found;
}

async function recovered(): Promise<Map<number, string>> {
  const segments = await listSegments(FOLDER, logger);
  const reader = createSegmentReader({ exchange: 'binance', segments, metrics, logger });
  const rows = new Map<number, string>();
  while (!reader.isAtEnd()) {
    for (const { seq, payload } of await reader.read({
      maxRows: 1e6,
      maxBytes: 1e9,
      maxDelayMs: 0,
    })) {
      rows.set(seq, payload.toString());
    }
  }
  return rows;
}

/** `of` is what reaches the disk of what the spool did. */
async function crashAll(
  fsync: Config['spool']['fsync'],
  count: number,
  of: (operation: Operation) => boolean = () => true,
) {
  const random = createRandom(seed);
  const total = { images: 0, lost: 0, wrong: 0 };
  for (const list of fc.sample(steps, { numRuns: RUNS, seed })) {
    const recording = await record(list, fsync);
    const log = recording.log.filter(of);
    const found = await crash({ ...recording, log }, count / RUNS, random);
    for (const key of ['images', 'lost', 'wrong'] as const) total[key] += found[key];
  }
  return total;
}

test(
  'a power cut at any moment loses no accepted row, and makes none up',
  { timeout: 300_000 },
  async () => {
    const startedAt = performance.now();
    const found = await crashAll('group', IMAGES);
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    console.log(`crash images by seed ${seed}: ${JSON.stringify(found)} in ${seconds} s`);
    expect(found).toEqual({ images: found.images, lost: 0, wrong: 0 });
    expect(found.images).toBeGreaterThanOrEqual(IMAGES);
  },
);

test('the model sees what it is for: rows accepted before they are synced are lost', async () => {
  const found = await crashAll('os', 2_000);
  expect(found.lost).toBeGreaterThan(100);
  expect(found.wrong).toBe(0);
});

test('nor is a new segment safe without its folder', async () => {
  const found = await crashAll('group', 2_000, ({ kind }) => kind !== 'sync_folder');
  expect(found.lost).toBeGreaterThan(100);
});
