/**
 * Rows accepted, which is on disk after a group's fdatasync, against the same bytes appended to a file
 * without any.
 */
import { open } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { configSchema } from '../src/config.ts';
import type { Trade } from '../src/ingest/events.ts';
import { createMetrics } from '../src/metrics.ts';
import { createRecorder } from '../src/writers/recorder.ts';
import { openSpool } from '../src/writers/spool.ts';
import { encodeRow } from '../src/writers/tables.ts';
import { type Bench, compare, measure, rateOf, type Sample } from './harness.ts';
import { logger } from './parts.ts';
import { EXCHANGE, symbolsOf, tradesOf } from './rows.ts';

const TURN = 500;
const GROUP_BYTES = 256 * 1024;

export const bench: Bench = {
  name: 'spool',
  about: 'rows accepted on disk, against appending the same bytes without fdatasync',
  async *run(context) {
    const trades = tradesOf(context.quick ? 100_000 : 500_000, { symbols: symbolsOf(10) });
    // Encoded ahead: what is compared is the way to the disk.
    const some = groupsOf(trades.map(encodeRow));
    const groups = Array.from({ length: 4 }, () => some).flat();
    const rows = 4 * trades.length;

    yield await compare(context, {
      what: 'trades accepted, fdatasync by the group',
      unit: 'rows/s',
      limitName: 'append, no fdatasync',
      goal: '>= 0.9',
      ours: async () => spoolGroups(rows, groups, await context.folder('spool')),
      limit: async () => appendGroups(rows, groups, await context.folder('append')),
    });
    yield await measure(context, {
      what: 'trades encoded and accepted: CPU',
      unit: 'node µs',
      goal: '<= 1.5',
      ours: async () => record(trades, await context.folder('spool')),
    });
  },
};

async function record(trades: readonly Trade[], folder: string): Promise<Sample> {
  const config = configOf(folder);
  const metrics = createMetrics(EXCHANGE);
  const spool = await openSpool({ exchange: EXCHANGE, config, metrics, logger });
  const recorder = createRecorder({ spool, config, metrics, logger });
  const { value, details } = await rateOf(trades.length, async () => {
    for (let at = 0; at < trades.length; at += TURN) {
      for (const trade of trades.slice(at, at + TURN)) recorder.push(trade);
      await setImmediate();
    }
    recorder.flush();
    await spool.flush(new AbortController().signal);
  });
  await spool.close();
  return { value: details?.['node µs'] ?? NaN, details: { 'rows/s': value } };
}

interface GroupOfRows {
  readonly rows: number;
  readonly text: string;
}

/** As large as the recorder makes them at full rate. */
function groupsOf(lines: readonly string[]): GroupOfRows[] {
  const groups: GroupOfRows[] = [];
  let group = { rows: 0, text: '' };
  for (const line of lines) {
    group = { rows: group.rows + 1, text: group.text + line };
    if (group.text.length < GROUP_BYTES) continue;
    groups.push(group);
    group = { rows: 0, text: '' };
  }
  return [...groups, group];
}

function configOf(directory: string) {
  return configSchema.parse({ spool: { directory } }).spool;
}

async function spoolGroups(
  rows: number,
  groups: readonly GroupOfRows[],
  folder: string,
): Promise<Sample> {
  const config = configOf(folder);
  const metrics = createMetrics(EXCHANGE);
  const spool = await openSpool({ exchange: EXCHANGE, config, metrics, logger });
  const sample = await rateOf(rows, async () => {
    for (const group of groups) {
      if (!spool.append(1, Buffer.from(group.text), group.rows, 0))
        throw new Error('spool is full');
      while (spool.status().unwrittenBytes > config.unwrittenBytes / 2) await setImmediate();
    }
    await spool.flush(new AbortController().signal);
  });
  await spool.close();
  return sample;
}

async function appendGroups(
  rows: number,
  groups: readonly GroupOfRows[],
  folder: string,
): Promise<Sample> {
  const file = await open(`${folder}/rows`, 'a');
  const sample = await rateOf(rows, async () => {
    for (const { text } of groups) await file.appendFile(Buffer.from(text));
  });
  await file.close();
  return sample;
}
