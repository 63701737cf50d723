/**
 * A folder that is complete or absent. It is built next to its place and renamed into it, so that a
 * killed build leaves nothing behind that looks finished, and two builders at once do not meet: the
 * first to finish wins, the other takes what the winner made.
 */
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../errors.ts';

/** Returns whether this call built the folder. `marker` is a file that only a complete one has. */
export async function buildFolder(
  folder: string,
  marker: string,
  build: (temporary: string) => Promise<void>,
): Promise<boolean> {
  if (await exists(join(folder, marker))) return false;
  await mkdir(dirname(folder), { recursive: true });
  const temporary = await mkdtemp(`${folder}.building-`);
  try {
    await build(temporary);
    await rename(temporary, folder);
    return true;
  } catch (error) {
    const taken = ['ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '');
    if (taken && (await exists(join(folder, marker)))) return false;
    throw error;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
