/** Changes to a copy of the sources: what production code has no switch for. */
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from './project.ts';

export interface Patch {
  /** From the folder of the project. */
  readonly file: string;
  /** Is there exactly once. */
  readonly find: string;
  readonly replace: string;
}

const COPIED = [
  'bin',
  'src',
  'test',
  'config',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
];
/** The same for all copies, and large. */
const LINKED = ['node_modules', '.cache'];

/** A project of its own in `folder`, with these changes. Throws for one that does not fit. */
export async function patchedCopy(folder: string, patches: readonly Patch[]): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const name of COPIED) await cp(join(ROOT, name), join(folder, name), { recursive: true });
  for (const name of LINKED) await symlink(join(ROOT, name), join(folder, name));
  for (const patch of patches) {
    const path = join(folder, patch.file);
    await writeFile(path, apply(await readFile(path, 'utf8'), patch));
  }
  return folder;
}

export function apply(text: string, { file, find, replace }: Patch): string {
  const count = text.split(find).length - 1;
  if (count !== 1) throw new Error(`${file} has ${count} times what is to be replaced: ${find}`);
  return text.replace(find, () => replace);
}

/** What is wrong with these patches; empty: each fits. */
export async function misfits(patches: readonly Patch[]): Promise<string[]> {
  const problems: string[] = [];
  for (const file of new Set(patches.map((patch) => patch.file))) {
    let text = await readFile(join(ROOT, file), 'utf8').catch(() => '');
    for (const patch of patches.filter((one) => one.file === file)) {
      try {
        text = apply(text, patch);
      } catch (error) {
        problems.push((error as Error).message);
      }
    }
  }
  return problems;
}
