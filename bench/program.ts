/** A program of Node as a child that answers in lines of JSON. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';

export interface Program {
  readonly pid: number;
  readonly stdin: Writable;
  /** The next line; throws when it has ended. */
  line(): Promise<unknown>;
  stop(): Promise<void>;
}

export function startProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Program {
  const child = spawn(process.execPath, args, {
    // Nothing of this machine's: no DATABASE_URL, no settings.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  child.stdin.on('error', () => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  // The bench may fail: its children must not stay.
  const kill = () => void child.kill('SIGKILL');
  process.once('exit', kill);
  return {
    pid: child.pid ?? 0,
    stdin: child.stdin,
    async line() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${args[0]} has ended`);
      return JSON.parse(value) as unknown;
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
      process.off('exit', kill);
    },
  };
}
