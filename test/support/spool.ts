/** A spool in a folder of its own, and what it gives back. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished } from 'vitest';
import { type Config, configSchema } from '../../src/config.ts';
import { createMetrics } from '../../src/metrics.ts';
import { type Batch, openSpool, type Spool } from '../../src/writers/spool.ts';

export const LIMITS = { maxRows: 1000, maxBytes: 1 << 20, maxDelayMs: 0 };
export const never = new AbortController().signal;
export const logger = pino({ level: 'silent' });
/** Stored rows go at once, where a test does not say otherwise. */
export const SETTINGS = { ...configSchema.parse({}).spool, retainSeconds: 0 };

type Settings = Partial<Config['spool']>;

/** Spools of one folder, one after the other. */
export async function spoolFolder() {
  const directory = await mkdtemp(join(tmpdir(), 'spool-'));
  const folder = join(directory, 'binance');
  let opened: Spool[] = [];

  async function open(settings: Settings = {}, metrics = createMetrics('binance')): Promise<Spool> {
    const config = { ...SETTINGS, directory, ...settings };
    const spool = await openSpool({ exchange: 'binance', config, metrics, logger });
    opened.push(spool);
    return spool;
  }

  async function segments(): Promise<string[]> {
    return (await readdir(folder)).filter((name) => name.endsWith('.seg')).toSorted();
  }

  /** As kill -9 would leave it: files and all, but for the lock. */
  async function crash(spool: Spool): Promise<void> {
    await spool.flush(never);
    const files = new Map<string, Buffer>();
    for (const name of await segments()) files.set(name, await readFile(join(folder, name)));
    await close(spool);
    for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
  }

  async function close(spool: Spool): Promise<void> {
    opened = opened.filter((other) => other !== spool);
    await spool.close();
  }

  async function remove(): Promise<void> {
    for (const spool of opened) await spool.close();
    await rm(directory, { recursive: true, force: true });
  }

  onTestFinished(remove);
  return { directory, folder, open, crash, close, segments };
}

export function appendRow(spool: Spool, text: string, table = 1): void {
  expect(spool.append(table, Buffer.from(`${text}\n`), 1, Date.now() * 1000)).toBe(true);
}

/** One frame after the other. */
export async function appendRows(spool: Spool, rows: readonly string[]): Promise<void> {
  for (const row of rows) {
    appendRow(spool, row);
    await spool.flush(never);
  }
}

/** Reads and releases until the spool is empty. */
export async function drain(spool: Spool, limits = LIMITS): Promise<string[]> {
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

/** Reads on and releases; what was read. */
export async function storeRows(spool: Spool, count: number): Promise<string[]> {
  const rows: string[] = [];
  while (rows.length < count) {
    const batch = await next(spool, { maxRows: 3 });
    rows.push(...textsOf(batch));
    await spool.release(batch);
  }
  return rows;
}

/** The next batch; there is one. */
export async function next(spool: Spool, limits: Partial<typeof LIMITS> = {}): Promise<Batch> {
  const batch = await spool.read({ ...LIMITS, ...limits }, never);
  if (!batch) throw new Error('the spool has ended');
  return batch;
}

export function textsOf(batch: Batch): string[] {
  return batch.frames.flatMap((frame) => frame.payload.toString().trimEnd().split('\n'));
}

export const numbered = (count: number, prefix = 'row') =>
  Array.from({ length: count }, (_, i) => `${prefix} ${i}`);
