/**
 * What a power cut may leave on a disk, given what a program did to it: of every write that was not
 * synced any of its sectors, or a part of one; new files that are not in their folder, and removed
 * ones that still are.
 */
import type { Operation } from './fake-disk.ts';

export type Random = () => number;

type Change = Extract<Operation, { kind: 'write' | 'truncate' }>;

interface File {
  /** As of its last sync. */
  synced: Buffer;
  changes: Change[];
}

interface Entry {
  readonly file: File;
  /** The folder was synced since. */
  durable: boolean;
  removed: boolean;
}

const SECTOR = 512;

export function createDiskModel() {
  const entries = new Map<string, Entry[]>();
  const latest = (path: string) => entries.get(path)?.at(-1);

  function apply(operation: Operation): void {
    switch (operation.kind) {
      case 'create': {
        const entry = {
          file: { synced: Buffer.alloc(0), changes: [] },
          durable: false,
          removed: false,
        };
        entries.set(operation.path, [...(entries.get(operation.path) ?? []), entry]);
        return;
      }
      case 'write':
      case 'truncate':
        latest(operation.path)?.file.changes.push(operation);
        return;
      case 'sync': {
        const file = latest(operation.path)?.file;
        if (!file) return;
        file.synced = file.changes.reduce(changed, file.synced);
        file.changes = [];
        return;
      }
      case 'unlink': {
        const entry = latest(operation.path);
        if (entry) entry.removed = true;
        return;
      }
      case 'sync_folder':
        for (const [path, list] of entries) {
          if (!path.startsWith(`${operation.path}/`)) continue;
          const left = list.filter(({ removed }) => !removed);
          for (const entry of left) entry.durable = true;
          if (left.length > 0) entries.set(path, left);
          else entries.delete(path);
        }
        return;
      case 'accepted':
      case 'stored':
    }
  }

  /** One of the states that a crash may leave now. */
  function image(random: Random): Map<string, Buffer> {
    // Nothing, everything or something of what was not synced: the corners too.
    const [keep, tear] = [random() < 0.2 ? 0 : random() < 0.2 ? 1 : random(), random()];
    const files = new Map<string, Buffer>();
    for (const [path, list] of entries) {
      const entry = list.findLast(
        ({ durable, removed }) => (durable || random() < keep) && (!removed || random() < 0.5),
      );
      if (entry) files.set(path, crashed(entry.file, keep, tear, random));
    }
    return files;
  }

  return { apply, image };
}

function changed(content: Buffer, change: Change): Buffer {
  if (change.kind === 'truncate') return content.subarray(0, change.length);
  const end = change.position + change.bytes.length;
  const grown = Buffer.alloc(Math.max(content.length, end));
  content.copy(grown);
  change.bytes.copy(grown, change.position);
  return grown;
}

function crashed({ synced, changes }: File, keep: number, tear: number, random: Random): Buffer {
  let content = synced;
  for (const change of changes) {
    if (change.kind === 'truncate') {
      if (random() < keep) content = changed(content, change);
      continue;
    }
    const { position, bytes } = change;
    // The length may be on disk before what is in it.
    if (random() < keep) {
      const hole = Buffer.alloc(Math.max(0, position + bytes.length - content.length));
      content = Buffer.concat([content, hole]);
    }
    for (let at = 0; at < bytes.length;) {
      const next = Math.min(bytes.length, at + SECTOR - ((position + at) % SECTOR));
      const torn = random() < tear * 0.1 ? Math.floor(random() * (next - at)) : next - at;
      if (random() < keep) {
        const part = bytes.subarray(at, at + torn);
        content = changed(content, {
          kind: 'write',
          path: '',
          position: position + at,
          bytes: part,
        });
      }
      at = next;
    }
  }
  return content;
}
