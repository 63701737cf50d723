/**
 * The folder of a spool and its segment files: names, durable creation, setting aside.
 *
 * `<gen>-<epoch>.seg`: the generation counts up and orders the segments; it is no clock, for clocks
 * step back.
 */
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HyperfeedError } from '../errors.ts';
import type { Logger } from '../log.ts';

const SEGMENT_NAME = /^(\d{16})-([0-9a-f]{16})\.seg$/;

/** A segment file. Positions are byte offsets in it. */
export interface Segment {
  readonly path: string;
  readonly generation: number;
  readonly epoch: string;
  /** Wall clock, ms: nothing in it is older. */
  readonly openedAtMs: number;
  /** Of the monotonic clock, ms: when it was written last. */
  writtenAtMs: number;
  /** Frames end here; up to here it may be read. */
  readable: number;
  /** Nothing will be appended to it. */
  finished: boolean;
  /** Frames read, from it or from memory, and not yet stored. */
  outstanding: number;
  /** Of frames that were handed out and stored. */
  storedBytes: number;
  /** Rows that this run wrote to it, and how many of them were not handed out yet. */
  rows: number;
  unreadRows: number;
  /** Holds what could not be read: it is kept aside, not deleted. */
  keep?: 'corrupt' | 'unread';
}

export type NewSegment = Pick<
  Segment,
  'path' | 'generation' | 'epoch' | 'openedAtMs' | 'writtenAtMs' | 'readable' | 'finished'
>;

export function newSegment(known: NewSegment): Segment {
  return { ...known, outstanding: 0, storedBytes: 0, rows: 0, unreadRows: 0 };
}

/** The segments that earlier runs left, in order. */
export async function listSegments(folder: string, logger: Logger): Promise<Segment[]> {
  const segments: Segment[] = [];
  for (const name of (await readdir(folder)).toSorted()) {
    const match = SEGMENT_NAME.exec(name);
    if (!match) continue;
    const path = join(folder, name);
    const generation = Number(match[1]);
    // A broken link has none.
    const stats = await stat(path).catch(() => undefined);
    if (!stats?.isFile() || !Number.isSafeInteger(generation)) {
      logger.warn({ path }, 'no file of ours, though named like a spool segment; left alone');
      continue;
    }
    const last = segments.at(-1)?.generation ?? generation - 1;
    if (generation > last + 1) {
      // Its rows are gone; those around it are not.
      logger.error(
        { path, missing: generation - last - 1 },
        'spool segments are missing before it',
      );
    }
    segments.push(
      newSegment({
        path,
        generation,
        epoch: match[2] ?? '',
        openedAtMs: stats.mtimeMs,
        writtenAtMs: performance.now() - Math.max(0, Date.now() - stats.mtimeMs),
        readable: stats.size,
        finished: true,
      }),
    );
  }
  return segments;
}

/** One that no file or folder has, whatever it is. */
export async function nextGeneration(folder: string): Promise<number> {
  const taken = (await readdir(folder)).map((name) => Number(SEGMENT_NAME.exec(name)?.[1] ?? 0));
  return Math.max(0, ...taken.filter(Number.isSafeInteger)) + 1;
}

export function segmentPath(folder: string, generation: number, epoch: string): string {
  return join(folder, `${String(generation).padStart(16, '0')}-${epoch}.seg`);
}

/** A folder, and those above it, that survive a power cut. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) {
    await syncFolder(dirname(made));
  }
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
    await syncFolder(folder);
    return handle;
  } catch (error) {
    await handle.close();
    await rm(path, { force: true });
    throw error;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const directory = await open(folder);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** A full disk can shorten a write without an error: count, and try for the rest. */
export async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw new HyperfeedError('ENOSPC', 'nothing could be written');
    done += bytesWritten;
  }
}

/**
 * `corrupt/` is for a look at what a disk did: what could be read of it was stored, and the oldest
 * ones go. `unread/` holds rows of a newer version or behind a missing permission: it is for a person
 * to empty.
 */
const CORRUPT_MAX_BYTES = 256 * 1024 * 1024;

/** Moves a segment that could not be read whole out of the way. Returns where it is. */
export async function setAside(
  folder: string,
  segment: Segment,
  corruptMaxBytes = CORRUPT_MAX_BYTES,
): Promise<string> {
  const aside = join(folder, segment.keep ?? 'corrupt');
  await mkdir(aside, { recursive: true, mode: 0o700 });
  const target = join(aside, segment.path.slice(folder.length + 1));
  await rename(segment.path, target);
  if (segment.keep === 'corrupt') await trim(aside, corruptMaxBytes);
  return target;
}

async function trim(folder: string, maxBytes: number): Promise<void> {
  let bytes = 0;
  for (const name of (await readdir(folder)).toSorted().toReversed()) {
    const path = join(folder, name);
    const stats = await stat(path);
    bytes += stats.size;
    if (bytes > maxBytes && stats.isFile() && SEGMENT_NAME.test(name)) await rm(path);
  }
}
