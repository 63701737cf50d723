/** Runs a command to its end and says plainly why it failed. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { HyperfeedError, messageOf } from '../errors.ts';

const DEFAULT_TIMEOUT_MS = 180_000;

/** Resolves with what the command wrote to stdout; rejects with the first error line of its stderr. */
export async function run(
  command: readonly string[],
  options: { cwd?: string; timeoutMs?: number } = {},
): Promise<string> {
  const [file = '', ...args] = command;
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const child = spawn(file, args, {
    cwd: options.cwd ?? '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnvironment(),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const ended = new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(messageOf(error)));
    child.once('exit', (code, signal) =>
      resolve(code === 0 ? undefined : `ended with ${signal ?? `exit code ${code}`}`),
    );
  });
  const [failure, stdout, stderr] = await Promise.all([
    ended,
    text(child.stdout),
    text(child.stderr),
  ]);
  if (failure !== undefined) {
    throw new HyperfeedError('embedded_command', `${file}: ${firstErrorLine(stderr) ?? failure}`);
  }
  return stdout;
}

export async function succeeds(command: readonly string[]): Promise<boolean> {
  return run(command, { timeoutMs: 10_000 }).then(
    () => true,
    () => false,
  );
}

/**
 * What a child gets to see: no secret of this process, no PG* or LD_* variable that changes what it
 * does, and no language but English, since its output is read.
 */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const keep = ['PATH', 'HOME', 'http_proxy', 'https_proxy', 'no_proxy'];
  const kept = keep.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), LC_ALL: 'C' };
}

function firstErrorLine(output: string): string | undefined {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return lines.find((line) => /^(E:|.*(error|fatal):)/i.test(line)) ?? lines.at(-1);
}
