/** Child processes whose lines are kept. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { World } from './world.ts';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type Child = ReturnType<typeof startProcess>;

/** Killed when the world ends. Nothing of this machine's environment but PATH and HOME. */
export function startProcess(
  world: Pick<World, 'defer'>,
  program: string,
  args: readonly string[],
  { env = {}, cwd }: { env?: Readonly<Record<string, string>>; cwd?: string } = {},
) {
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(program, args, {
    cwd,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  // A child that is killed does not read on.
  child.stdin.on('error', () => undefined);
  let over = false;
  const ended = once(child, 'close').then(([code, signal]): Ended => {
    over = true;
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  world.defer(async () => {
    child.kill('SIGCONT');
    child.kill('SIGKILL');
    await ended;
  });
  return {
    pid: child.pid ?? 0,
    stdin: child.stdin,
    lines,
    errors,
    ended,
    hasEnded: () => over,
    /** False: it was not there any more. */
    signal: (signal: NodeJS.Signals): boolean => child.kill(signal),
  };
}

/** Its standard output. Throws what it says on the other one when it fails. */
export async function runProcess(
  program: string,
  args: readonly string[],
  input = '',
): Promise<string> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${errors.trim()}`);
  return output.trimEnd();
}
