/**
 * The daemon under test, in this process or as a child, and the simulated exchange that feeds it.
 * Settings are the keys of the configuration: `{ 'spool.memoryBytes': 1048576 }`.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { onTestFinished } from 'vitest';
import { envName } from '../../src/config-load.ts';
import { put, type Tree } from '../../src/config-tree.ts';
import { type Config, configSchema } from '../../src/config.ts';
import { createDaemon } from '../../src/daemon.ts';
import type { Exchange } from '../../src/ingest/exchange.ts';
import { loadExchange } from '../../src/ingest/registry.ts';
import { createLogger } from '../../src/log.ts';
import type { Metrics } from '../../src/metrics.ts';
import { startSimulatedExchange, type SimulatedExchangeOptions } from '../../src/sim/exchange.ts';
import type { JournalEntry, JournalTrade } from '../../src/sim/journal.ts';
import { createDatabase, type TestDatabase, waitFor } from './stack.ts';

export type Settings = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>;

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

const ROOT = resolve(import.meta.dirname, '../..');

export async function temporaryFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hyperfeed-test-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

export function configOf(settings: Settings): Config {
  const values: Tree = {};
  for (const [key, value] of Object.entries(settings)) {
    if (value !== undefined) put(values, key.split('.'), value);
  }
  return configSchema.parse(values);
}

export function environmentOf(settings: Settings): Record<string, string> {
  const set = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(set.map(([key, value]) => [envName(key.split('.')), String(value)]));
}

async function withDefaults(settings: Settings): Promise<Settings> {
  return {
    'spool.directory': settings['spool.directory'] ?? (await temporaryFolder()),
    'redis.enabled': settings['redis.url'] !== undefined,
    'http.port': 0,
    'log.level': 'debug',
    ...settings,
  };
}

export type TestDaemon = Awaited<ReturnType<typeof prepareDaemon>>;

/** Not started. It is stopped when the test ends, if not before. */
export async function prepareDaemon(settings: Settings, adapter?: Exchange) {
  const config = configOf(await withDefaults(settings));
  const log: LogLine[] = [];
  const destination = { write: (line: string) => void log.push(JSON.parse(line) as LogLine) };
  const refusals: unknown[] = [];
  const daemon = await createDaemon({
    config,
    adapter: adapter ?? (await loadExchange(config.exchange)),
    logger: createLogger({ level: config.log.level, destination }),
    onRefused: (error) => refusals.push(error),
  });
  onTestFinished(async () => void (await daemon.stop()));
  return {
    daemon,
    config,
    log,
    /** What the database refused. */
    refusals,
    spoolFolder: join(config.spool.directory, config.exchange),
    value: (metric: keyof Metrics, labels: Record<string, string> = {}) =>
      metricValue(daemon.metrics, metric, labels),
    logged: (msg: string) => log.filter((line) => line.msg === msg),
    /** The body of a page of its health server. */
    async page<T>(path: string): Promise<T> {
      const response = await fetch(`http://127.0.0.1:${daemon.address()?.port}${path}`);
      return (await response.json()) as T;
    },
    start: () => daemon.start(AbortSignal.timeout(50_000)),
    /** Until everything that was accepted is stored; each row is accounted for then. */
    async drained(timeoutMs = 20_000): Promise<void> {
      const drained = () => {
        if (refusals.length > 0) throw refusals[0];
        return daemon.isDrained();
      };
      await waitFor(drained, { what: 'the spool to drain', timeoutMs });
      const error = () => metricValue(daemon.metrics, 'accountingError');
      await waitFor(async () => (await error()) === 0, { what: 'each row to be accounted for' });
    },
  };
}

export async function startDaemon(settings: Settings, adapter?: Exchange): Promise<TestDaemon> {
  const prepared = await prepareDaemon(settings, adapter);
  await prepared.start();
  return prepared;
}

/** Sum of the samples that have these labels; a histogram's number of observations. */
export async function metricValue(
  metrics: Metrics,
  name: keyof Metrics,
  labels: Record<string, string> = {},
): Promise<number> {
  const metric = metrics[name] as unknown as {
    get(): Promise<{
      values: { value: number; labels: Record<string, unknown>; metricName?: string }[];
    }>;
  };
  const { values } = await metric.get();
  return values
    .filter((sample) => !sample.metricName || sample.metricName.endsWith('_count'))
    .filter((sample) =>
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )
    .reduce((sum, { value }) => sum + value, 0);
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface TestProcess {
  readonly pid: number;
  readonly stdin: Writable;
  /** Lines so far. */
  readonly stdout: string[];
  readonly stderr: string[];
  kill(signal: NodeJS.Signals): void;
  /** Reads no more of its standard output, as `head` does. */
  hangUp(): void;
  /** Resolves when it has ended and everything that it printed is here. */
  readonly ended: Promise<Ended>;
  hasEnded(): boolean;
}

interface SpawnSettings {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

/** A child process, killed when the test ends. */
export function spawnProgram(
  program: string,
  args: readonly string[],
  { env = {}, cwd = ROOT }: SpawnSettings = {},
): TestProcess {
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(program, args, {
    cwd,
    // Nothing of this machine's: no DATABASE_URL, no settings.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: string[] = [];
  const stderr: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => stdout.push(line));
  createInterface({ input: child.stderr }).on('line', (line) => stderr.push(line));
  child.stdin.on('error', () => undefined);
  let over = false;
  const ended = once(child, 'close').then(([code, signal]): Ended => {
    over = true;
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    pid: child.pid ?? 0,
    stdin: child.stdin,
    stdout,
    stderr,
    kill: (signal) => void child.kill(signal),
    hangUp: () => void child.stdout.destroy(),
    ended,
    hasEnded: () => over,
  };
}

export function spawnNode(args: readonly string[], settings?: SpawnSettings): TestProcess {
  return spawnProgram(process.execPath, args, settings);
}

export function hyperfeed(args: readonly string[], settings?: SpawnSettings): TestProcess {
  return spawnNode([join(ROOT, 'bin/hyperfeed.js'), ...args], settings);
}

/** The command, to its end. */
export async function runHyperfeed(
  args: readonly string[],
  settings?: SpawnSettings,
): Promise<Ended & { stdout: string[]; stderr: string[] }> {
  return runProgram(process.execPath, [join(ROOT, 'bin/hyperfeed.js'), ...args], settings);
}

export async function runProgram(
  program: string,
  args: readonly string[],
  settings?: SpawnSettings,
): Promise<Ended & { stdout: string[]; stderr: string[] }> {
  const child = spawnProgram(program, args, settings);
  child.stdin.end();
  return { ...(await child.ended), stdout: child.stdout, stderr: child.stderr };
}

/** `hyperfeed run` as a child process. */
export async function spawnDaemon(settings: Settings) {
  const child = hyperfeed(['run'], { env: environmentOf(await withDefaults(settings)) });
  const log = () => child.stdout.map((line) => JSON.parse(line) as LogLine);
  const logged = (msg: string) =>
    child.stdout.some((line) => line.includes(`"msg":${JSON.stringify(msg)}`));

  async function says(msg: string): Promise<void> {
    const what = `the daemon to say ${msg}`;
    try {
      await waitFor(() => child.hasEnded() || logged(msg), { what, timeoutMs: 30_000 });
    } catch {
      // What it said instead is what one wants to know.
    }
    if (logged(msg)) return;
    throw new Error(`waited for ${what}: ${[...child.stdout, ...child.stderr].join('\n')}`);
  }

  return {
    ...child,
    log,
    logged,
    /** Until it says this. */
    says,
  };
}

export type Simulation = Awaited<ReturnType<typeof simulate>>;

/** A simulated exchange in this process, with a journal. */
export async function simulate(options: Partial<SimulatedExchangeOptions> = {}) {
  const journalPath = join(await temporaryFolder(), 'journal.jsonl');
  appendFileSync(journalPath, '');
  const exchange = await startSimulatedExchange({
    seed: 7,
    symbols: ['BTC/USDT', 'ETH/USDT'],
    journalPath,
    ...options,
  });
  onTestFinished(() => exchange.stop());
  return {
    ...exchange.controls,
    exchange,
    settings: {
      'connection.wsUrl': exchange.wsUrl,
      'connection.restUrl': exchange.restUrl,
      symbols: options.symbols ?? ['BTC/USDT', 'ETH/USDT'],
    } satisfies Settings,
    journal: () => readJournal(journalPath),
    /** Resolves when somebody listens to `count` streams, over all connections. */
    subscribed: (count: number) =>
      waitFor(
        () => exchange.controls.connections().flatMap(({ streams }) => streams).length >= count,
        { what: `${count} subscribed streams` },
      ),
  };
}

export async function readJournal(path: string): Promise<JournalEntry[]> {
  const text = await readFile(path, 'utf8');
  // The last line may be half written.
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.filter(Boolean).map((line) => JSON.parse(line) as JournalEntry);
}

/** One row of `trades` as text: all of its columns, digits as they are stored. */
export type TradeRow = readonly [
  symbol: string,
  id: string,
  side: string,
  price: string,
  quantity: string,
  time: string,
];

export const TIME_TEXT = `to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** In the order of symbol and id. */
export async function storedTrades(
  database: Pick<TestDatabase, 'query'>,
  exchange = 'binance',
): Promise<TradeRow[]> {
  const rows = await database.query<Record<string, string>>(
    `SELECT symbol, trade_id, side, price::text, quantity::text, ${TIME_TEXT} AS time
     FROM trades WHERE exchange = $1 ORDER BY symbol COLLATE "C", trade_id::bigint`,
    [exchange],
  );
  return rows.map((row) => Object.values(row) as unknown as TradeRow);
}

/** The rows that these trades of a journal must become, in the same order. */
export function rowsOf(entries: readonly JournalEntry[]): TradeRow[] {
  return entries
    .filter((entry): entry is JournalTrade => entry.type === 'trade')
    .toSorted((a, b) => (a.symbol === b.symbol ? a.id - b.id : a.symbol < b.symbol ? -1 : 1))
    .map(({ symbol, id, side, price, qty, time }) => [
      symbol,
      String(id),
      side,
      price,
      qty,
      new Date(time).toISOString().replace('Z', '000Z'),
    ]);
}

/** A database that goes with the test. */
export async function freshDatabase(
  options: Parameters<typeof createDatabase>[0] = {},
): Promise<TestDatabase> {
  const database = await createDatabase(options);
  onTestFinished(() => database.drop());
  return database;
}

/** Bytes of what is alive in this process. */
export function usedMemory(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What a buffer held is let go of in the collection after that of the buffer.
  for (let round = 0; round < 3; round++) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The simulated exchange in a process of its own, which no fault touches. */
export async function spawnSimulation({
  seed,
  rate,
  symbols,
}: {
  seed: number;
  rate: number;
  symbols: readonly string[];
}) {
  const journalPath = join(await temporaryFolder(), 'journal.jsonl');
  const child = spawnNode([
    join(ROOT, 'src/sim/main.ts'),
    '--history-candles=0',
    `--seed=${seed}`,
    `--rate=${rate}`,
    `--symbols=${symbols.join(',')}`,
    `--journal=${journalPath}`,
  ]);
  const line = async (index: number) =>
    JSON.parse(
      await waitFor(() => child.stdout[index], { what: 'the simulation to answer' }),
    ) as Record<string, unknown>;
  const { wsUrl, restUrl } = (await line(0)) as { wsUrl: string; restUrl: string };
  let asked = 0;

  async function control(name: string, ...args: unknown[]): Promise<unknown> {
    child.stdin.write(`${JSON.stringify({ control: name, args })}\n`);
    asked++;
    const { result, error } = await line(asked);
    if (error !== undefined) throw new Error(JSON.stringify(error));
    return result;
  }

  return {
    settings: {
      'connection.wsUrl': wsUrl,
      'connection.restUrl': restUrl,
      symbols,
    } satisfies Settings,
    control,
    /** Resolves when somebody listens to `count` streams, over all connections. */
    subscribed: (count: number) =>
      waitFor(
        async () => {
          const open = (await control('connections')) as { streams: string[] }[];
          return open.flatMap(({ streams }) => streams).length >= count;
        },
        { what: `${count} subscribed streams`, timeoutMs: 20_000 },
      ),
    journalPath,
    journal: () => readJournal(journalPath),
  };
}
