/**
 * Servers that outlived their owner and the owner's supervisor too. Each server carries the process
 * id of its owner on its command line, in a setting that means nothing to it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { HyperfeedError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { commandLine, isAlive, signalProcess, type StopSteps } from './process-table.ts';

const OWNER = 'hyperfeed.owner_pid';

export const ownerMark = (): string => `${OWNER}=${process.pid}`;

/**
 * Makes sure that `folder` has no server. `pid` is what the server has left there, a number that may
 * be some other program's by now: only a process with `words` on its command line is the server. It
 * is ended when its owner is dead, and an error when not.
 */
export async function endOrphan(
  pid: number,
  options: { folder: string; words: string; steps: StopSteps; log: Pick<Logger, 'warn'> },
): Promise<void> {
  const { folder, words, steps, log } = options;
  const command = await commandLine(pid);
  if (!command.includes(` ${words} `)) return;

  const owner = Number(new RegExp(`${OWNER}=(\\d+)`).exec(command)?.[1]);
  if (Number.isNaN(owner) || isAlive(owner)) {
    throw new HyperfeedError(
      'embedded_in_use',
      `${folder} is in use by process ${owner || pid} (another \`hyperfeed up\`?): stop that one first`,
    );
  }
  log.warn({ pid, folder }, 'ending a server whose owner died');
  for (const [signal, timeoutMs] of steps) {
    const deadline = performance.now() + timeoutMs;
    signalProcess(pid, signal);
    while (performance.now() < deadline) {
      if (!isAlive(pid)) return;
      await sleep(20);
    }
  }
  throw new HyperfeedError('embedded_stuck', `the orphaned server ${pid} does not end`);
}
