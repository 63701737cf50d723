/**
 * A file that is written out in advance, so that a little can be kept on a disk that is full: it is
 * overwritten in place. Two slots in turn, each with a checksum: a crash in the middle of one leaves
 * the other.
 *
 *   slot  crc32 u32 | length u32 | version u64 | JSON
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { writeAll } from './spool-files.ts';

const SLOT_BYTES = 512 * 1024;
const HEADER_BYTES = 16;

export type Reserve = Awaited<ReturnType<typeof openReserve>>;

/** Throws the file system's error: the disk is full already, or read-only. */
export async function openReserve(folder: string) {
  const path = join(folder, 'reserve');
  await writeOut(path);
  const slots = [await readSlot(path, 0), await readSlot(path, 1)];
  const newest = slots.toSorted((a, b) => a.version - b.version)[1];
  let version = newest?.version ?? 0;

  return {
    /** What was written last; undefined: nothing, or it cannot be read. */
    content: newest?.content,
    maxBytes: SLOT_BYTES - HEADER_BYTES,
    /** Throws when it is longer than `maxBytes`, and the file system's error. */
    async write(content: unknown): Promise<void> {
      const json = Buffer.from(JSON.stringify(content));
      if (json.length > SLOT_BYTES - HEADER_BYTES)
        throw new RangeError('more than the reserve takes');
      const next = version + 1;
      const slot = Buffer.alloc(HEADER_BYTES + json.length);
      slot.writeUInt32LE(json.length, 4);
      slot.writeBigUInt64LE(BigInt(next), 8);
      json.copy(slot, HEADER_BYTES);
      slot.writeUInt32LE(crc32(slot.subarray(4)), 0);
      const handle = await open(path, 'r+');
      try {
        await writeAll(handle, slot, (next % 2) * SLOT_BYTES);
        await handle.datasync();
      } finally {
        await handle.close();
      }
      version = next;
    },
  };
}

/** With zeros, unless it has its size: Node has no fallocate. */
async function writeOut(path: string): Promise<void> {
  const handle = await open(path, 'a+', 0o600);
  try {
    const { size } = await handle.stat();
    if (size >= 2 * SLOT_BYTES) return;
    await handle.appendFile(Buffer.alloc(2 * SLOT_BYTES - size));
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function readSlot(
  path: string,
  index: number,
): Promise<{ readonly version: number; readonly content: unknown }> {
  const slot = Buffer.alloc(SLOT_BYTES);
  const handle = await open(path);
  try {
    await handle.read(slot, 0, SLOT_BYTES, index * SLOT_BYTES);
  } finally {
    await handle.close();
  }
  const end = HEADER_BYTES + slot.readUInt32LE(4);
  if (end > SLOT_BYTES || slot.readUInt32LE(0) !== crc32(slot.subarray(4, end))) {
    return { version: 0, content: undefined };
  }
  const version = Number(slot.readBigUInt64LE(8));
  return { version, content: JSON.parse(slot.toString('utf8', HEADER_BYTES, end)) };
}
