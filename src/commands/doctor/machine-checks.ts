/** This machine: Node, open files, and the disk of the spool. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readdir, readFile, stat, statfs, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Config } from '../../config.ts';
import { HyperfeedError, messageOf } from '../../errors.ts';
import { size } from '../status-screen.ts';
import { type Check, type Finding, ok, warning } from './check.ts';

const TIMEOUT_MS = 10_000;
const NODE = 24;
/** Sockets of the exchange, segments, HTTP, and some to spare. */
const OPEN_FILES = 1024;
const LOW_DISK_BYTES = 2 * 1024 ** 3;
const SQLITE_BUSY = 5;

/** By the magic number that statfs tells: on a network, or gone with the machine. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0x6969: 'NFS',
  0xff534d42: 'CIFS',
  0xfe534d42: 'SMB',
  0x01021997: '9p, a share of the host',
  0x00c36400: 'CephFS',
  0x65735546: 'FUSE',
  0x01021994: 'tmpfs, in memory',
  0x794c7630: 'overlay, which goes with its container',
};

export function machineChecks(
  config: Config,
  { exchange, nodeVersion }: { readonly exchange: string; readonly nodeVersion: string },
): Check[] {
  const folder = resolve(config.spool.directory, exchange.replaceAll(':', '-'));
  return [
    {
      name: 'node',
      timeoutMs: TIMEOUT_MS,
      todo: `install Node ${NODE}`,
      run: async () => [judgeNode(nodeVersion)],
    },
    {
      name: 'open files',
      timeoutMs: TIMEOUT_MS,
      todo: 'ulimit -n',
      run: async () => [await judgeOpenFiles()],
    },
    {
      name: 'spool',
      timeoutMs: TIMEOUT_MS,
      todo: `may this user write to ${folder} (spool.directory), and is the disk well?`,
      run: async () => [
        ...(await judgeDisk(folder, config.spool.maxBytes)),
        ...(await judgeFolder(folder)),
      ],
    },
  ];
}

function judgeNode(version: string): Finding {
  const major = Number.parseInt(version.slice(1), 10);
  if (major >= NODE) return ok(version);
  return warning(`${version}; hyperfeed is tested with ${NODE}`, `install Node ${NODE}`);
}

async function judgeOpenFiles(): Promise<Finding> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const [, soft] = /^Max open files +(\S+)/m.exec(limits) ?? [];
  if (soft === undefined) return ok('the limit cannot be told on this system');
  if (soft === 'unlimited' || Number(soft) >= OPEN_FILES) return ok(`at most ${soft}`);
  return warning(
    `at most ${soft}: sockets and segments may need more`,
    `ulimit -n ${OPEN_FILES}; LimitNOFILE= of a systemd unit, ulimits: of a compose service`,
  );
}

async function judgeDisk(folder: string, maxBytes = 0): Promise<Finding[]> {
  // What is not there yet is made in the nearest folder that is.
  let place = folder;
  while (!existsSync(place)) place = dirname(place);
  const syncMs = await probe(place);
  const { type, bavail, bsize } = await statfs(place);
  const free = bavail * bsize;
  const findings: Finding[] = [];
  const kind = FILE_SYSTEMS[type];
  if (kind !== undefined) {
    findings.push(
      warning(
        `${place} is on ${kind}: what is accepted there may not survive a fault`,
        'put spool.directory on a disk of this machine, or a volume of the container',
      ),
    );
  }
  if (free < maxBytes) {
    findings.push(
      warning(
        `${place} has ${size(free)} left, less than spool.maxBytes, ${size(maxBytes)}`,
        'make room, or lower spool.maxBytes',
      ),
    );
  } else if (free < LOW_DISK_BYTES) {
    findings.push(
      warning(
        `${place} has ${size(free)} left`,
        'make room: while PostgreSQL is away, a thousand trades a second take some 400 MB an hour',
      ),
    );
  }
  const made = place === folder ? '' : ' (made at the first start)';
  return [
    ok(`${folder}${made}: ${size(free)} free, fdatasync takes ${syncMs.toFixed(1)} ms`),
    ...findings,
  ];
}

/** Writes a few bytes to disk. Throws when it cannot. */
async function probe(folder: string): Promise<number> {
  const path = join(folder, `.hyperfeed-doctor-${randomUUID()}`);
  const handle = await open(path, 'wx', 0o600);
  try {
    await handle.write('probe');
    const startedAt = performance.now();
    await handle.datasync();
    return performance.now() - startedAt;
  } finally {
    await handle.close();
    await unlink(path);
  }
}

async function judgeFolder(folder: string): Promise<Finding[]> {
  if (!existsSync(folder)) return [];
  const segments = await sizesOf(folder);
  const bytes = segments.reduce((sum, one) => sum + one, 0);
  const holder = await holderOf(folder);
  const findings: Finding[] = [];
  if (holder !== undefined) findings.push(ok(`in use by process ${holder}`));
  else if (segments.length > 0) {
    findings.push(
      ok(`${size(bytes)} in ${segments.length} segments: the next start looks at them`),
    );
  }
  const damaged = await readdir(join(folder, 'corrupt')).catch(() => []);
  if (damaged.length > 0) {
    findings.push(
      warning(
        `${damaged.length} damaged segments in ${join(folder, 'corrupt')}`,
        'docs/operations.md, "Damaged segments"',
      ),
    );
  }
  return findings;
}

/** Of its segments. A running daemon removes one now and then. */
async function sizesOf(folder: string): Promise<number[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.seg'));
  const files = await Promise.all(
    names.map((name) => stat(join(folder, name)).catch(() => undefined)),
  );
  return files.filter((file) => file !== undefined).map((file) => file.size);
}

/** Who has the lock of src/writers/spool-lock.ts; undefined: nobody. Takes it from nobody. */
async function holderOf(folder: string): Promise<string | undefined> {
  const path = join(folder, 'lock');
  // A lock that nobody ever took, or one of SQLite on nothing.
  if (!(await stat(path).catch(() => undefined))) return undefined;
  const database = new DatabaseSync(path, { readOnly: true, timeout: 0 });
  try {
    database.exec('BEGIN; SELECT count(*) FROM sqlite_schema; COMMIT');
    return undefined;
  } catch (error) {
    if ((error as { errcode?: unknown }).errcode !== SQLITE_BUSY) {
      throw new HyperfeedError('spool_lock', `${path}: ${messageOf(error)}`, { cause: error });
    }
    return (await readFile(join(folder, 'pid'), 'utf8').catch(() => 'unknown')).trim();
  } finally {
    database.close();
  }
}
