/**
 * PostgreSQL refuses to run as root. In a container everything is root, so as root it runs as
 * `nobody`: best in a user namespace, where files stay root's and may lie below a closed /root; where
 * namespaces are refused (Docker's default), with the user id changed and files that it can reach.
 */
import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HyperfeedError } from '../errors.ts';
import { succeeds } from './run.ts';

const NOBODY = 65_534;
const PUBLIC_FOLDERS = '/var/tmp';

export interface RunAs {
  /** Goes before a command. */
  readonly prefix: readonly string[];
  /** Set when the files that the command writes must belong to this user. */
  readonly uid?: number;
}

export const IN_USER_NAMESPACE: RunAs = {
  prefix: ['unshare', '--user', `--map-user=${NOBODY}`, `--map-group=${NOBODY}`],
};
export const AS_NOBODY: RunAs = {
  prefix: ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'],
  uid: NOBODY,
};

export async function detectRunAs(): Promise<RunAs> {
  if (process.getuid?.() !== 0) return { prefix: [] };
  for (const runAs of [IN_USER_NAMESPACE, AS_NOBODY]) {
    if (await succeeds([...runAs.prefix, 'true'])) return runAs;
  }
  throw new HyperfeedError(
    'embedded_root',
    'PostgreSQL refuses to run as root, and neither unshare nor setpriv works here: ' +
      'run as another user, or set DATABASE_URL',
  );
}

/** The folder itself, absolute, or where that is closed to the user, one that stands for it. */
export async function reachableFolder(runAs: RunAs, path: string): Promise<string> {
  const folder = resolve(path);
  await mkdir(folder, { recursive: true });
  if (runAs.uid === undefined) return folder;
  if (await succeeds([...runAs.prefix, 'test', '-x', folder])) return folder;
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 12);
  const substitute = join(PUBLIC_FOLDERS, `hyperfeed-${name}`);
  await mkdir(substitute, { recursive: true, mode: 0o755 });
  await refuseForeign(substitute);
  await chmod(substitute, 0o755);
  return substitute;
}

/** Anyone can make a folder of that name before us, with programs in it for root to run. */
async function refuseForeign(folder: string): Promise<void> {
  const info = await lstat(folder);
  if (!info.isDirectory() || info.uid !== process.getuid?.()) {
    throw new HyperfeedError('embedded_folder', `${folder} is not ours: remove it and start again`);
  }
}
