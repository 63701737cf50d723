/**
 * A spool under everything at once, against a list: whatever fails, and whatever comes in the middle
 * of what, each accepted row is read once, in order, or again after a rewind or a restart; none
 * counts as lost; and what is said to wait is what waits.
 */
import type * as nodeTimers from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { createMetrics, type Metrics } from '../../src/metrics.ts';
import type { Batch, Spool } from '../../src/writers/spool.ts';
import { metricValue } from '../support/daemon.ts';
import { disk, diskError, resetDisk } from '../support/fake-disk.ts';
import { createRandom } from '../support/random.ts';
import { LIMITS, never, spoolFolder, textsOf } from '../support/spool.ts';

vi.mock('node:fs/promises', async (original) => {
  const { fakeDisk } = await import('../support/fake-disk.ts');
  return fakeDisk(await original());
});

/** The spool waits a second after each failure. */
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof nodeTimers>();
  return { ...timers, setTimeout: () => timers.setImmediate() };
});

const RUNS = Number(process.env['SPOOL_RUNS'] ?? 200);
const SETTINGS = { segmentBytes: 400, memoryBytes: 300, maxBytes: 1_000_000 };

afterEach(resetDisk);

type Step =
  | { readonly do: 'append'; readonly frames: number; readonly length: number }
  | { readonly do: 'read'; readonly maxRows: number }
  | { readonly do: 'release' | 'flush' | 'rewind' | 'crash' | 'restart' };

const plain = (weight: number, step: Exclude<Step['do'], 'append' | 'read'>) => ({
  weight,
  arbitrary: fc.constant<Step>({ do: step }),
});
const steps = fc.array(
  fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        frames: fc.integer({ min: 1, max: 8 }),
        length: fc.integer({ min: 1, max: 150 }),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('read' as const),
        maxRows: fc.integer({ min: 1, max: 40 }),
      }),
    },
    plain(6, 'release'),
    plain(3, 'flush'),
    plain(1, 'rewind'),
    plain(1, 'crash'),
    plain(1, 'restart'),
  ),
  { minLength: 10, maxLength: 60 },
);

const plan = fc.record({
  steps,
  seed: fc.nat(),
  /** In a hundred operations of the disk. */
  failing: fc.constantFrom(0, 5, 40),
  retainSeconds: fc.constantFrom(0, 3_600),
});

type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never;

async function createModel({ seed, failing, retainSeconds }: Omit<Plan, 'steps'>) {
  const random = createRandom(seed);
  const chance = (percent: number) => random() * 100 < percent;
  const folder = await spoolFolder();
  const working: Promise<unknown>[] = [];
  let spool: Spool;
  let metrics: Metrics;
  /** All that was taken from us, in order; below `stored` it is in the database. */
  const rows: string[] = [];
  let stored = 0;
  /** Where the next row is expected; undefined: no later than `stored`. */
  let at: number | undefined = 0;
  let taken: { readonly batch: Batch; readonly end: number }[] = [];
  let reading: Promise<void> | undefined;
  /** Of this spool since it was opened or rewound: what it is to say that waits. */
  let waits: number | undefined = 0;
  let count = 0;

  await open();

  async function open(): Promise<void> {
    metrics = createMetrics('binance');
    spool = await folder.open({ ...SETTINGS, retainSeconds }, metrics);
    disk.fault = ({ kind }) => {
      // In the middle of all else: the store and the feed do not wait for each other.
      if (chance(20)) release();
      if (chance(5)) append(1, 20);
      if (!chance(failing) || kind === 'unlink') return undefined;
      if (kind === 'write' && chance(50)) return 1;
      // A file that is read and gives EIO is not read again: no row of that is asked for here.
      throw diskError(chance(50) ? 'ENOSPC' : kind === 'create' ? 'EMFILE' : 'EIO');
    };
  }

  function append(frames: number, length: number): void {
    for (let i = 0; i < frames; i++) {
      const texts = Array.from(
        { length: 1 + (count % 3) },
        () => `${count++} ${'x'.repeat(length)}`,
      );
      if (!spool.append(1, Buffer.from(`${texts.join('\n')}\n`), texts.length, 0)) continue;
      rows.push(...texts);
      if (waits !== undefined) waits += texts.length;
    }
  }

  function read(maxRows: number): void {
    // It would wait for ever.
    if (reading || spool.isEmpty() || (at ?? 0) >= rows.length) return;
    reading = (async () => {
      // A read that fails is repeated, by the store too.
      const batch = await spool.read({ ...LIMITS, maxRows }, never).catch(() => undefined);
      reading = undefined;
      if (batch) look(batch);
    })();
    working.push(reading);
  }

  function look(batch: Batch): void {
    const texts = textsOf(batch);
    if (at === undefined) {
      at = rows.indexOf(texts[0] ?? '');
      expect(at).toBeLessThanOrEqual(stored);
    }
    expect(texts).toEqual(rows.slice(at, at + texts.length));
    at += texts.length;
    taken.push({ batch, end: at });
    for (const { segment } of batch.frames) expect(segment.unreadRows).toBeGreaterThanOrEqual(0);
  }

  function release(): void {
    const next = taken.shift();
    if (!next) return;
    stored = Math.max(stored, next.end);
    if (waits !== undefined) waits -= next.batch.rows;
    working.push(spool.release(next.batch));
  }

  /** All is to come again that is not stored, and maybe more. */
  function again(): void {
    at = undefined;
    taken = [];
    waits = undefined;
  }

  async function settled(): Promise<void> {
    while (working.length > 0) await working.shift();
  }

  async function restart(how: 'crash' | 'restart'): Promise<void> {
    await spool.flush(never);
    disk.fault = undefined;
    await settled();
    await (how === 'crash' ? folder.crash(spool) : folder.close(spool));
    again();
    await open();
  }

  async function rewind(): Promise<void> {
    await settled();
    spool.rewind();
    again();
  }

  async function check(): Promise<void> {
    expect(await metricValue(metrics, 'rowsDropped')).toBe(0);
    const before = waits;
    const pending = await metricValue(metrics, 'spoolRowsPending');
    expect(pending).toBeGreaterThanOrEqual(0);
    // Else something came while the metric was read: the next look will do.
    if (before !== undefined && before === waits) expect(pending).toBe(waits);
  }

  async function end() {
    disk.fault = undefined;
    await settled();
    await spool.flush(never);
    while (!spool.isEmpty()) {
      if (taken.length === 0) {
        const batch = await spool.read(LIMITS, never);
        if (batch) look(batch);
      }
      release();
      await settled();
    }
    await folder.close(spool);
    return {
      missing: rows.length - stored,
      bytes: spool.status().bytes,
      pending: await metricValue(metrics, 'spoolRowsPending'),
      dropped: await metricValue(metrics, 'rowsDropped'),
      corrupt: await metricValue(metrics, 'spoolCorruptFrames'),
    };
  }

  return {
    async take(step: Step): Promise<void> {
      if (step.do === 'append') append(step.frames, step.length);
      else if (step.do === 'read') read(step.maxRows);
      else if (step.do === 'release') release();
      else if (step.do === 'flush') await spool.flush(never);
      else if (step.do === 'rewind') await rewind();
      else await restart(step.do);
      await check();
    },
    end,
  };
}

test(
  'whatever fails and whenever: each row once, in order, and the counts are right',
  { timeout: 300_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(plan, async ({ steps: list, ...rest }) => {
        resetDisk();
        const model = await createModel(rest);
        for (const step of list) await model.take(step);
        const nothing = { missing: 0, bytes: 0, pending: 0, dropped: 0, corrupt: 0 };
        expect(await model.end()).toEqual(nothing);
      }),
      { numRuns: RUNS, timeout: 10_000, endOnFailure: true },
    );
  },
);
