import { chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { buildFolder } from '../../src/embedded/build-folder.ts';
import { prepareDebian } from '../../src/embedded/debian.ts';
import { AS_NOBODY, IN_USER_NAMESPACE, reachableFolder } from '../../src/embedded/run-as.ts';

let base: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'hyperfeed-unit-'));
  onTestFinished(() => rm(base, { recursive: true }));
});

test('two builders at once: one folder, complete, of one of them', async () => {
  const target = join(base, 'deep/target');
  const build = (name: string) =>
    buildFolder(target, 'marker', async (temporary) => {
      await writeFile(join(temporary, 'marker'), name);
      await writeFile(join(temporary, name), '');
    });
  const built = await Promise.all([build('a'), build('b')]);
  expect(new Set(built)).toEqual(new Set([false, true]));
  const winner = await readFile(join(target, 'marker'), 'utf8');
  expect(await readdir(target)).toEqual([winner, 'marker'].toSorted());
  expect(await readdir(join(base, 'deep'))).toEqual(['target']);
  expect(await build('c')).toBe(false);
});

test('a failed build leaves nothing, and the next one builds', async () => {
  const target = join(base, 'target');
  const failing = buildFolder(target, 'marker', async (temporary) => {
    await writeFile(join(temporary, 'marker'), '');
    throw new Error('disk full');
  });
  await expect(failing).rejects.toThrow('disk full');
  expect(await readdir(base)).toEqual([]);
  const working = buildFolder(target, 'marker', (folder) => writeFile(join(folder, 'marker'), ''));
  expect(await working).toBe(true);
});

test('a folder of somebody else is not taken for a finished one', async () => {
  const target = join(base, 'target');
  await mkdir(target);
  await writeFile(join(target, 'letter.txt'), 'Dear');
  const building = buildFolder(target, 'marker', (folder) => writeFile(join(folder, 'marker'), ''));
  await expect(building).rejects.toMatchObject({ code: 'ENOTEMPTY' });
  expect(await readdir(target)).toEqual(['letter.txt']);
});

test.runIf(process.platform === 'linux')(
  'without apt there is a reason, not an error',
  async () => {
    const path = process.env['PATH'];
    process.env['PATH'] = base;
    onTestFinished(() => {
      process.env['PATH'] = path;
    });
    expect(await prepareDebian(base, { info: () => {} })).toEqual({
      unavailable: 'apt-get is not installed',
    });
    expect(await readdir(base)).toEqual([]);
  },
);

test.runIf(process.getuid?.() === 0)(
  'a folder closed to nobody is replaced, except in a user namespace',
  async () => {
    expect(await reachableFolder(IN_USER_NAMESPACE, base)).toBe(base);
    // mkdtemp makes it 0700.
    const substitute = await reachableFolder(AS_NOBODY, base);
    onTestFinished(() => rm(substitute, { recursive: true }));
    expect(substitute).toMatch(/^\/var\/tmp\/hyperfeed-/);
    expect(await reachableFolder(AS_NOBODY, base)).toBe(substitute);
    expect(await reachableFolder(AS_NOBODY, substitute)).toBe(substitute);

    // Anybody may have made it before.
    await chown(substitute, 12_345, 12_345);
    await expect(reachableFolder(AS_NOBODY, base)).rejects.toMatchObject({
      code: 'embedded_folder',
    });
  },
);
