/** Processes, as the system lists them. */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { codeOf } from '../errors.ts';
import { run } from './run.ts';

/** Signals and the time that each has, the kindest first. */
export type StopSteps = readonly (readonly [signal: NodeJS.Signals, timeoutMs: number])[];

/** A zombie is dead: the first process of a container does not always bury its dead. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return false;
  }
  return process.platform !== 'linux' || !/\) [ZX] /.test(readProcFile(pid, 'stat'));
}

/** The words of its command line, separated by blanks; empty when there is no such process. */
export async function commandLine(pid: number): Promise<string> {
  if (process.platform === 'linux') return readProcFile(pid, 'cmdline').replaceAll('\0', ' ');
  if (!isAlive(pid)) return '';
  return run(['ps', '-ww', '-o', 'command=', '-p', String(pid)]);
}

/** Empty when the process has ended. */
function readProcFile(pid: number, name: 'cmdline' | 'stat'): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(codeOf(error) ?? '')) return '';
    throw error;
  }
}

export async function childrenOf(pid: number): Promise<number[]> {
  const table = await parents();
  return [...table].flatMap(([child, parent]) => (parent === pid ? [child] : []));
}

/** Each process and its parent. */
async function parents(): Promise<Map<number, number>> {
  if (process.platform === 'linux') {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
    return new Map(pids.map((pid) => [pid, parentIn(readProcFile(pid, 'stat'))]));
  }
  const rows = (await run(['ps', '-A', '-o', 'pid=,ppid='])).trim().split('\n');
  return new Map(
    rows.map((row) => {
      const [pid = 0, parent = 0] = row.trim().split(/\s+/).map(Number);
      return [pid, parent];
    }),
  );
}

/** A line of /proc: `pid (name) state parent ...`, and the name may hold anything. */
function parentIn(stat: string): number {
  return Number(/.*\) \w (\d+) /s.exec(stat)?.[1]);
}

/** Does nothing when the process has just ended. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}
