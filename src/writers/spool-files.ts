/**
 * The folder of a spool and its segment files: names, lock, durable creation, setting aside.
 *
 * `<gen>-<epoch>.seg`: the generation counts up and orders the segments; it is no clock, for clocks
 * step back.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import {
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  stat,
  writeFile,
} from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { codeOf, HyperfeedError } from '../errors.ts';

const SEGMENT_NAME = /^(\d{16})-([0-9a-f]{16})\.seg$/;

/** A segment file. Positions are byte offsets in it. */
export interface Segment {
  readonly path: string;
  readonly generation: number;
  readonly epoch: string;
  /** Wall clock, ms: nothing in it is older. */
  readonly openedAtMs: number;
  /** Frames end here; up to here it may be read. */
  readable: number;
  /** Nothing will be appended to it. */
  finished: boolean;
  /** Frames handed out and not yet stored. */
  outstanding: number;
  /** Holds something that could not be read: kept aside, not deleted. */
  damaged: boolean;
}

/** The segments that earlier runs left, in order. */
export async function listSegments(folder: string): Promise<Segment[]> {
  const segments: Segment[] = [];
  for (const name of (await readdir(folder)).toSorted()) {
    const match = SEGMENT_NAME.exec(name);
    if (!match) continue;
    const path = join(folder, name);
    const { size, mtimeMs } = await stat(path);
    segments.push({
      path,
      generation: Number(match[1]),
      epoch: match[2] ?? '',
      openedAtMs: mtimeMs,
      readable: size,
      finished: true,
      outstanding: 0,
      damaged: false,
    });
  }
  return segments;
}

export function segmentPath(folder: string, generation: number, epoch: string): string {
  return join(folder, `${String(generation).padStart(16, '0')}-${epoch}.seg`);
}

/** Makes a file that survives a power cut together with its first bytes. */
export async function createDurably(
  folder: string,
  path: string,
  bytes: Buffer,
): Promise<FileHandle> {
  const handle = await open(path, 'wx', 0o600);
  try {
    await writeAll(handle, bytes, 0);
    await handle.datasync();
    const directory = await open(folder);
    await directory.sync();
    await directory.close();
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A full disk can shorten a write without an error: count, and try for the rest. */
export async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw new HyperfeedError('spool_write', 'nothing could be written');
    done += bytesWritten;
  }
}

/** Moves a segment that could not be read whole out of the way, where a person can look at it. */
export async function setAside(folder: string, segment: Segment): Promise<string> {
  const corrupt = join(folder, 'corrupt');
  await mkdir(corrupt, { recursive: true, mode: 0o700 });
  const target = join(corrupt, segment.path.slice(folder.length + 1));
  await rename(segment.path, target);
  return target;
}

/**
 * Makes the folder, and keeps a second daemon out of it. The kernel frees the name when the process ends, however it ends (Node
 * has no flock); it does not reach across network namespaces, so containers need a volume each.
 * Throws HyperfeedError `spool_locked`.
 */
export async function lockFolder(folder: string): Promise<{ release(): void }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const name = createHash('sha256')
    .update(await realpath(folder))
    .digest('hex')
    .slice(0, 32);
  const pidFile = join(folder, 'pid');
  const server = createServer((socket) => socket.destroy());
  try {
    await listen(server, `\0hyperfeed-spool-${name}`);
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw error;
    const pid = await readFile(pidFile, 'utf8').catch(() => 'unknown');
    throw new HyperfeedError(
      'spool_locked',
      `spool ${folder} is in use by process ${pid.trim()}; stop it, or set spool.directory`,
      { cause: error },
    );
  }
  server.unref();
  await writeFile(pidFile, `${process.pid}\n`);
  return { release: () => server.close() };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path }, resolve);
  });
}
