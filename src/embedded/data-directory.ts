/** A PostgreSQL data directory: made once, used by one server at a time. */
import { chown, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, HyperfeedError, messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { buildFolder } from './build-folder.ts';
import { commandLine, endOrphan, isAlive } from './process-table.ts';
import { run } from './run.ts';
import type { RunAs } from './run-as.ts';

/** A setting that means nothing to PostgreSQL: it puts our process id on the server's command line. */
const OWNER = 'hyperfeed.owner_pid';
export const ownerSetting = (): string => `${OWNER}=${process.pid}`;

/** Returns whether it was made now. */
export async function createDataDirectory(
  directory: string,
  options: { initdb: string; runAs: RunAs; fast: boolean },
): Promise<boolean> {
  const { initdb, runAs, fast } = options;
  try {
    return await buildFolder(directory, 'PG_VERSION', async (temporary) => {
      if (runAs.uid !== undefined) await chown(temporary, runAs.uid, runAs.uid);
      const user = ['-U', 'postgres', '--auth=trust'];
      const text = ['--encoding=UTF8', '--locale=C'];
      const sync = fast ? ['--no-sync'] : [];
      await run([...runAs.prefix, initdb, '-D', temporary, ...user, ...text, ...sync]);
    });
  } catch (cause) {
    throw new HyperfeedError(
      'EMBEDDED_INITDB',
      ['ENOTEMPTY', 'EEXIST'].includes(codeOf(cause) ?? '')
        ? `${directory} is not empty and no PostgreSQL data directory: choose another folder`
        : `no data directory could be made at ${directory}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/**
 * Makes sure that no server uses the directory. One whose owner has died is ended; it is known by
 * our directory on its command line, never by the bare number in its lock file. Any other is an error.
 *
 * Returns the process id of a stale lock file. Should that now be some other program's, PostgreSQL
 * would take it for a running server.
 */
export async function claimDataDirectory(
  directory: string,
  log: Pick<Logger, 'warn'>,
): Promise<number | undefined> {
  const { pid } = await readLockFile(directory);
  if (pid === undefined) return undefined;
  const command = await commandLine(pid);
  if (!command.includes(` -D ${directory} `)) return pid;

  const owner = Number(new RegExp(`${OWNER}=(\\d+)`).exec(command)?.[1]);
  if (Number.isNaN(owner) || isAlive(owner)) {
    throw new HyperfeedError(
      'EMBEDDED_IN_USE',
      `${directory} is in use by process ${owner || pid}: stop that one first`,
    );
  }
  log.warn({ pid, directory }, 'ending a postgresql server whose owner died');
  await endOrphan(pid, [
    ['SIGINT', 20_000],
    ['SIGQUIT', 5_000],
  ]);
  return undefined;
}

/** What a running server says of itself; empty when there is no lock file. */
export async function readLockFile(
  directory: string,
): Promise<{ pid?: number; port?: number; ready?: boolean }> {
  let text: string;
  try {
    text = await readFile(join(directory, 'postmaster.pid'), 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return {};
    throw error;
  }
  const [pid, , , port, , , , status] = text.split('\n');
  // Half-written for a moment after it was made.
  return pid ? { pid: Number(pid), port: Number(port), ready: status?.trim() === 'ready' } : {};
}
