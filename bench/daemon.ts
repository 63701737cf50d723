/** `hyperfeed run`, the real process, and what it says of itself. */
import { join } from 'node:path';
import { envName } from '../src/config-load.ts';
import { startProgram } from './program.ts';
import { cpuOf, memoryOf } from './proc.ts';

/** Keys of the configuration. */
export type Settings = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export interface Daemon {
  readonly pid: number;
  /** Microseconds of CPU so far. */
  cpu(): number;
  /** Resident bytes. */
  memory(): number;
  metrics(): Promise<Scrape>;
  stop(): Promise<void>;
}

interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly port?: number;
}

const PROGRAM = [join(import.meta.dirname, '../bin/hyperfeed.js'), 'run'];
/** Without a budget of REST requests: see there. Begins as bin/hyperfeed.js does. */
export const UNLIMITED = [
  '--import',
  join(import.meta.dirname, '../bin/runtime.js'),
  join(import.meta.dirname, 'run-unlimited.ts'),
];

/** Resolves when it is running. Its warnings come on stderr. */
export async function startDaemon(
  settings: Settings,
  command: readonly string[] = PROGRAM,
): Promise<Daemon> {
  const all = { 'http.port': 0, ...settings };
  const env = Object.fromEntries(
    Object.entries(all).map(([key, value]) => [envName(key.split('.')), String(value)]),
  );
  const program = startProgram(command, env);
  let port: number | undefined;
  while (port === undefined) {
    const line = (await program.line()) as LogLine;
    if (line.msg === 'running') port = line.port ?? 0;
    else complain(line);
  }
  const told = (async () => {
    // Until it ends.
    for (;;) complain((await program.line()) as LogLine);
  })().catch(() => undefined);

  return {
    pid: program.pid,
    cpu: () => cpuOf(program.pid),
    memory: () => memoryOf(program.pid),
    async metrics() {
      const response = await fetch(`http://127.0.0.1:${port}/metrics`);
      return readScrape(await response.text());
    },
    async stop() {
      await program.stop();
      await told;
    },
  };
}

function complain(line: LogLine): void {
  if (['warn', 'error', 'fatal'].includes(line.level)) {
    process.stderr.write(`${JSON.stringify(line)}\n`);
  }
}

export type Scrape = ReturnType<typeof readScrape>;

/** A page of metrics. Names are without their prefix. */
function readScrape(page: string) {
  const samples = page.split('\n').flatMap((line) => {
    const [, name = '', labels = '', value = ''] =
      /^hyperfeed_(\w+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    return name === '' ? [] : [{ name, labels, value: Number(value) }];
  });
  return {
    /** Sum over all labels. */
    value: (name: string, label = '') =>
      samples
        .filter((sample) => sample.name === name && sample.labels.includes(label))
        .reduce((sum, sample) => sum + sample.value, 0),
    buckets: (name: string) =>
      samples
        .filter((sample) => sample.name === `${name}_bucket`)
        .map(({ labels, value }) => ({
          le: Number((/le="([^"]+)"/.exec(labels)?.[1] ?? '').replace('+Inf', 'Infinity')),
          count: value,
        })),
  };
}

/** Of what a histogram counted between two pages, by line within a bucket. */
export function quantileBetween(before: Scrape, after: Scrape, name: string, part: number): number {
  const earlier = new Map(before.buckets(name).map(({ le, count }) => [le, count]));
  const buckets = after.buckets(name).map(({ le, count }) => ({
    le,
    count: count - (earlier.get(le) ?? 0),
  }));
  const wanted = (buckets.at(-1)?.count ?? 0) * part;
  let [low, below] = [0, 0];
  for (const { le, count } of buckets) {
    if (count >= wanted) {
      if (!Number.isFinite(le)) return low;
      return count === below ? le : low + ((le - low) * (wanted - below)) / (count - below);
    }
    [low, below] = [le, count];
  }
  return NaN;
}
