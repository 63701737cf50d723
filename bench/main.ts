/**
 * npm run bench [-- NAME...] [--json] [--rounds N] [--quick] [--large] [--write]
 *
 * Runs the benches of these names, or all, and prints what they found beside the goals. Exit status:
 * 0 all goals hold, 1 some do not, 2 wrong usage.
 */
import { mkdtemp, rm, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../src/errors.ts';
import { type Bench, type BenchContext, holds } from './harness.ts';
import { type Machine, machineOf } from './machine.ts';
import { markdownReport, type Result, textReport, writePage } from './report.ts';
import { startServers } from './servers.ts';

/** In the order in which they run. */
const BENCHES = [
  'decode',
  'book',
  'encode',
  'spool',
  'store',
  'redis',
  'end-to-end',
  'symbols',
  'memory',
  'backpressure',
  'start',
  'rollups',
];

const OPTIONS = {
  json: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  quick: { type: 'boolean', default: false },
  large: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false },
} as const;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let chosen: Bench[];
  let options: ReturnType<typeof parse>;
  try {
    options = parse(args);
    chosen = await Promise.all(options.names.map(load));
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return 2;
  }
  const results = await runAll(chosen, options);
  return results.some((finding) => holds(finding) === false) ? 1 : 0;
}

function parse(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
  });
  const unknown = positionals.filter((name) => !BENCHES.includes(name));
  if (unknown.length > 0) {
    throw new RangeError(`no bench ${unknown.join(', ')}; there are ${BENCHES.join(', ')}`);
  }
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new RangeError(`--rounds must be a whole number, not ${values.rounds}`);
  }
  if (values.write && positionals.length > 0) {
    throw new RangeError('--write wants all benches: name none');
  }
  const names = BENCHES.filter((name) => positionals.length === 0 || positionals.includes(name));
  return { ...values, rounds, names };
}

async function load(name: string): Promise<Bench> {
  const { bench } = (await import(`./${name}.ts`)) as { bench: Bench };
  return bench;
}

async function runAll(
  benches: readonly Bench[],
  options: ReturnType<typeof parse>,
): Promise<readonly Result[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'hyperfeed-bench-'));
  let starting: ReturnType<typeof startServers> | undefined;
  const context: BenchContext = {
    rounds: options.rounds,
    quick: options.quick,
    large: options.large,
    servers: () => (starting ??= startServers()),
    async folder(name) {
      const path = join(scratch, name);
      await rm(path, { recursive: true, force: true });
      await mkdir(path, { recursive: true });
      return path;
    },
    progress,
  };
  const results: Result[] = [];
  try {
    for (const bench of benches) {
      for await (const finding of bench.run(context)) {
        results.push({ bench: bench.name, ...finding });
      }
    }
    progress('');
    const machine = await machineOf((await starting)?.about);
    await print(results, machine, options);
  } finally {
    await (await starting)?.stop();
    await rm(scratch, { recursive: true, force: true });
  }
  return results;
}

async function print(
  results: readonly Result[],
  machine: Machine,
  options: ReturnType<typeof parse>,
): Promise<void> {
  const withVerdicts = results.map((result) => ({ ...result, holds: holds(result) ?? null }));
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ machine, findings: withVerdicts })}\n`
      : textReport(results, machine),
  );
  if (options.write) await writePage(markdownReport(results, machine));
}

/** One line on a terminal, over and over. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}
