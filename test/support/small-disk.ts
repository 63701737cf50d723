/** A file system of its own, small enough to be full. Root only. */
import { spawnSync } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from './daemon.ts';

/** Mounts none where that is not allowed, and says so. */
export const canMount = (() => {
  const can = spawnSync('unshare', ['--mount', 'true']).status === 0 && process.getuid?.() === 0;
  if (!can)
    console.warn('\n*** no tmpfs can be mounted here: tests of a full disk are skipped ***\n');
  return can;
})();

export async function smallDisk(mebibytes: number): Promise<string> {
  const folder = await temporaryFolder();
  const options = ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder];
  const { status, stderr } = spawnSync('mount', options, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`mount ${options.join(' ')}: ${stderr}`);
  onTestFinished(() => void spawnSync('umount', ['--lazy', folder]));
  return folder;
}
