/**
 * Keeps a second daemon out of a spool, in another container on the same volume too.
 *
 * The lock is an fcntl lock on a file, taken by way of SQLite, since Node has no flock: it belongs to
 * the file and not to a network namespace, as an abstract socket does, the kernel frees it when the
 * process ends, however it ends, and so nobody waits for a heartbeat to go stale. Nothing is written
 * to the file: a full disk is no hindrance.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { HyperfeedError } from '../errors.ts';
import type { Logger } from '../log.ts';

const SQLITE_BUSY = 5;

/** Of a folder that exists. Throws HyperfeedError `spool_locked`. */
export async function lockFolder(folder: string, logger: Logger): Promise<{ release(): void }> {
  const holderFile = join(folder, 'pid');
  const database = new DatabaseSync(join(folder, 'lock'), { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: unknown }).errcode !== SQLITE_BUSY) throw error;
    const holder = await readFile(holderFile, 'utf8').catch(() => 'unknown');
    throw new HyperfeedError(
      'spool_locked',
      `spool ${folder} is in use by process ${holder.trim()}; stop it, or set spool.directory`,
      { cause: error },
    );
  }
  try {
    await writeFile(holderFile, `${process.pid} on ${hostname()}\n`);
  } catch (error) {
    // For the message to a second one only: a full disk shall not keep the first one from starting.
    logger.warn({ err: error, path: holderFile }, 'holder of the spool could not be written');
  }
  return { release: () => database.isOpen && database.close() };
}
