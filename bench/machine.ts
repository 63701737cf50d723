/** Where, when and from what a table came. */
import { availableParallelism, cpus, totalmem } from 'node:os';
import { codeOf } from '../src/errors.ts';
import { run } from '../src/embedded/run.ts';

export interface Machine {
  readonly date: string;
  readonly command: string;
  readonly commit: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly node: string;
  /** Undefined when none was started. */
  readonly servers: string | undefined;
}

export async function machineOf(servers: string | undefined): Promise<Machine> {
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    command: ['npm run bench', ...withDashes(process.argv.slice(2))].join(' '),
    commit: await commit(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    servers,
  };
}

const withDashes = (args: readonly string[]) => (args.length > 0 ? ['--', ...args] : []);

/** With a mark where the tree is not what was committed; of an archive there is none. */
async function commit(): Promise<string> {
  try {
    const cwd = import.meta.dirname;
    return (
      await run(['git', 'describe', '--always', '--dirty', '--exclude', '*'], { cwd })
    ).trim();
  } catch (error) {
    if (codeOf(error) === 'embedded_command') return 'unknown';
    throw error;
  }
}
