/** The parts of the daemon between an event and its row, put together as src/daemon.ts does. */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { configSchema } from '../src/config.ts';
import type { MarketEvent } from '../src/ingest/events.ts';
import { createLogger } from '../src/log.ts';
import { createMetrics } from '../src/metrics.ts';
import { openLanes } from '../src/writers/lanes.ts';
import { createSymbolsWriter } from '../src/writers/symbols.ts';
import type { Sample } from './harness.ts';
import { cpuOf } from './proc.ts';
import { EXCHANGE } from './rows.ts';

const MAX_UNWRITTEN_BYTES = 8 * 1024 * 1024;
/** Frames of a socket that are read in one turn of the event loop. */
const TURN = 500;

export const logger = createLogger({
  level: 'error',
  destination: { write: (line: string) => void process.stderr.write(line) },
});

export interface Target {
  readonly url: string;
  readonly folder: string;
  readonly lanes?: number;
}

/**
 * Events -> recorder -> spool with fdatasync -> COPY -> committed, flat out. Rows a second from the
 * first push to the last commit.
 */
export async function storeEvents(
  events: readonly MarketEvent[],
  { url, folder, lanes: count = 1 }: Target,
): Promise<Sample> {
  const config = configSchema.parse({
    database: { url, lanes: count },
    spool: { directory: folder },
  });
  const lanes = await openLanes({
    exchange: EXCHANGE,
    config,
    symbols: createSymbolsWriter(EXCHANGE, logger),
    gaps: { refillable: true },
    exclusive: false,
    prepare: async () => undefined,
    onRole: () => undefined,
    onRefused: (error) => logger.error({ err: error }, 'database refused'),
    metrics: createMetrics(EXCHANGE),
    logger,
  });
  await lanes.stores.start(new AbortController().signal);
  await until(() => lanes.report().status.state === 'storing', 'the store to be ready');
  const writers = await writersOf(url);
  const serverCpu = () => writers.reduce((sum, pid) => sum + cpuOf(pid), 0);

  const cpu = { node: process.cpuUsage(), server: serverCpu() };
  const startedAt = performance.now();
  for (let at = 0; at < events.length; at += TURN) {
    for (const event of events.slice(at, at + TURN)) lanes.push(event);
    await setImmediate();
    // A feed that is faster than its disk is another bench's.
    while (lanes.report().status.spool.unwrittenBytes > MAX_UNWRITTEN_BYTES) await sleep(1);
  }
  const flushed = lanes.flush(new AbortController().signal);
  while (!lanes.isEmpty()) await sleep(1);
  const seconds = (performance.now() - startedAt) / 1000;

  const { user, system } = process.cpuUsage(cpu.node);
  const server = serverCpu() - cpu.server;
  await flushed;
  await lanes.stores.stop(AbortSignal.timeout(10_000));
  await lanes.close();
  const rows = events.length;
  const details = { 'node µs': (user + system) / rows, 'server µs': server / rows };
  return { value: rows / seconds, details };
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited 30 s for ${what}`);
    await sleep(5);
  }
}

/** Process ids of the sessions that store. */
export async function writersOf(url: string): Promise<number[]> {
  const client = new Client(url);
  await client.connect();
  try {
    const { rows } = await client.query<{ pid: number }>(
      'SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()',
      [`hyperfeed-${EXCHANGE}`],
    );
    if (rows.length === 0) throw new Error('no session stores');
    return rows.map(({ pid }) => pid);
  } finally {
    await client.end();
  }
}
