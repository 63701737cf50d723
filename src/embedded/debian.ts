/**
 * Packages of Debian 13 in a private folder, for what npm does not bring: TimescaleDB and a Redis.
 *
 * This machine's apt does it, with its own mirror and proxy, and checks the signatures, but with
 * lists, status and cache of our own: nothing on the system changes and no root is needed. Debian 13
 * has a newer C library than older hosts, hence `loaderCommand`: programs from here run through that
 * library's own loader. The mirror's address is in a file that goes with this process at the latest.
 */
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HyperfeedError, messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { buildFolder, exists } from './build-folder.ts';
import { run, succeeds } from './run.ts';
import { createThrowawayFolder } from './throwaway.ts';

const SUITE = 'trixie';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const PACKAGES = [
  'postgresql-17-timescaledb',
  'libc6',
  // Valkey, the Redis of Debian 13, and the libraries that it links.
  'valkey-server',
  'valkey-tools',
  'libatomic1',
  'libcap2',
  'libgcc-s1',
  'libjemalloc2',
  'liblzf1',
  'libssl3t64',
  'libstdc++6',
  'libsystemd0',
  'libzstd1',
  'zlib1g',
];
const ARCHITECTURES: Partial<Record<NodeJS.Architecture, Architecture>> = {
  x64: { debian: 'amd64', triplet: 'x86_64-linux-gnu', loader: 'ld-linux-x86-64.so.2' },
  arm64: { debian: 'arm64', triplet: 'aarch64-linux-gnu', loader: 'ld-linux-aarch64.so.1' },
};

export interface DebianRuntime {
  /** The folder that stands for `/` of that Debian. */
  readonly root: string;
  /** The command that runs `program`, a path anywhere, with the libraries of that Debian. */
  loaderCommand(program: string): string[];
}

/** The runtime, or why there is none. */
export type DebianResult = { readonly runtime: DebianRuntime } | { readonly unavailable: string };

interface Architecture {
  readonly debian: string;
  readonly triplet: string;
  readonly loader: string;
}

/** PostgreSQL and Redis start at the same time and ask for the same folder: one fetch serves both. */
const underWay = new Map<string, Promise<DebianResult>>();

export function prepareDebian(folder: string, log: Pick<Logger, 'info'>): Promise<DebianResult> {
  const cacheDir = resolve(folder);
  const shared = underWay.get(cacheDir);
  if (shared) return shared;
  const preparing = prepare(cacheDir, log).finally(() => underWay.delete(cacheDir));
  underWay.set(cacheDir, preparing);
  return preparing;
}

async function prepare(cacheDir: string, log: Pick<Logger, 'info'>): Promise<DebianResult> {
  const architecture = ARCHITECTURES[process.arch];
  if (process.platform !== 'linux' || !architecture) {
    return { unavailable: `Debian has no packages for ${process.platform} ${process.arch}` };
  }
  const root = join(cacheDir, `debian-${SUITE}-${architecture.debian}`);
  const startedAt = performance.now();
  try {
    const built = await buildFolder(root, 'usr/bin/valkey-server', (temporary) =>
      fetchPackages(temporary, architecture),
    );
    if (built) {
      const tookMs = Math.round(performance.now() - startedAt);
      log.info({ tookMs }, 'debian packages fetched');
    }
  } catch (error) {
    // The mirror's address is nobody's business but this machine's: not even the log's.
    return { unavailable: messageOf(error).replaceAll(/\b[a-z+]+:\/\/[^\s']+/g, '<mirror>') };
  }
  return { runtime: createRuntime(root, architecture) };
}

function createRuntime(root: string, architecture: Architecture): DebianRuntime {
  const libraries = join(root, 'usr/lib', architecture.triplet);
  const loader = join(libraries, architecture.loader);
  return {
    root,
    loaderCommand: (program) => [loader, '--argv0', program, '--library-path', libraries, program],
  };
}

async function fetchPackages(folder: string, architecture: Architecture): Promise<void> {
  if (!(await succeeds(['apt-get', '--version']))) throw unavailable('apt-get is not installed');
  if (!(await exists(KEYRING))) throw unavailable(`${KEYRING} is missing (debian-archive-keyring)`);

  const work = await createThrowawayFolder();
  try {
    for (const deb of await download(work.path, architecture)) {
      await run(['dpkg-deb', '-x', deb, folder]);
    }
  } finally {
    await work.remove();
  }
  // A server that must not run as root reads it too.
  await chmod(folder, 0o755);
}

async function download(work: string, architecture: Architecture): Promise<string[]> {
  const debs = join(work, 'debs');
  for (const name of ['lists/partial', 'cache/archives/partial', 'debs']) {
    await mkdir(join(work, name), { recursive: true });
  }
  const config = join(work, 'apt.conf');
  const sources = join(work, 'debian.sources');
  await writeFile(join(work, 'status'), '');
  await writeFile(config, aptConfig(work, sources));

  const apt = ['apt-get', '-c', config, '-qq'];
  await firstThatWorks(await mirrors(), async (mirror) => {
    await writeFile(sources, aptSources(mirror, architecture));
    await run([...apt, '-o', 'APT::Update::Error-Mode=any', 'update']);
  });
  await run([...apt, 'download', ...PACKAGES], { cwd: debs });
  return (await readdir(debs)).map((name) => join(debs, name));
}

/**
 * Where this machine's apt looks for releases. `indextargets` would say it too, but is silent until
 * the first `apt-get update`. Suites with a dash or slash are additions such as bookworm-security.
 * A source that is not Debian's may be among them: its signature will not fit the keyring.
 */
async function mirrors(): Promise<string[]> {
  const uris = await run(['apt-get', '--print-uris', 'update']);
  const found = uris.matchAll(/^'(.+?)\/dists\/[a-z]+\/InRelease' /gm);
  const mirrorsFound = [...new Set([...found].map(([, mirror = '']) => mirror))];
  if (mirrorsFound.length === 0) throw unavailable('apt has no Debian mirror in its sources');
  return mirrorsFound;
}

async function firstThatWorks<T>(
  candidates: readonly T[],
  attempt: (candidate: T) => Promise<void>,
): Promise<void> {
  let failure: unknown;
  for (const candidate of candidates) {
    try {
      await attempt(candidate);
      return;
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

function aptSources(mirror: string, architecture: Architecture): string {
  return [
    'Types: deb',
    `URIs: ${mirror}`,
    `Suites: ${SUITE}`,
    'Components: main',
    `Architectures: ${architecture.debian}`,
    'Targets: Packages',
    `Signed-By: ${KEYRING}`,
    '',
  ].join('\n');
}

/** On top of the machine's own settings, whose proxy is needed and whose hooks must not run. */
function aptConfig(work: string, sources: string): string {
  const settings = {
    'Dir::Etc::SourceList': sources,
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::Etc::Preferences': '/dev/null',
    'Dir::Etc::PreferencesParts': '/dev/null',
    'Dir::State::Lists': join(work, 'lists'),
    'Dir::State::Status': join(work, 'status'),
    'Dir::Cache': join(work, 'cache'),
    // The folder is private to this user: apt's own user could not write to it.
    'APT::Sandbox::User': '',
    'Debug::NoLocking': 'true',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '1',
    'Acquire::http::Timeout': '10',
    'Acquire::https::Timeout': '10',
  };
  return [
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    ...Object.entries(settings).map(([name, value]) => `${name} "${value}";`),
    '',
  ].join('\n');
}

function unavailable(reason: string): HyperfeedError {
  return new HyperfeedError('embedded_debian', reason);
}
