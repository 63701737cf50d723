/** A PostgreSQL data directory: made once, used by one server at a time. */
import { chown, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, HyperfeedError, messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { buildFolder } from './build-folder.ts';
import { endOrphan } from './orphans.ts';
import { run } from './run.ts';
import type { RunAs } from './run-as.ts';

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
      'embedded_initdb',
      ['ENOTEMPTY', 'EEXIST'].includes(codeOf(cause) ?? '')
        ? `${directory} is not empty and no PostgreSQL data directory: choose another folder`
        : `no data directory could be made at ${directory}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/**
 * Makes sure that no server uses the directory.
 *
 * Returns the process id of a stale lock file. Should that now be some other program's, PostgreSQL
 * would take it for a running server.
 */
export async function claimDataDirectory(
  folder: string,
  log: Pick<Logger, 'warn'>,
): Promise<number | undefined> {
  const { pid } = await readLockFile(folder);
  if (pid === undefined) return undefined;
  // Never SIGKILL: sessions would live on in the same files.
  const steps = [
    ['SIGINT', 20_000],
    ['SIGQUIT', 5_000],
  ] as const;
  await endOrphan(pid, { folder, words: `-D ${folder}`, steps, log });
  return pid;
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
