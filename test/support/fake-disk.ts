/**
 * node:fs/promises as the spool uses it, with what a test of a disk needs: operations on files are
 * recorded and can be made to fail, and what lies under /image/ is in memory.
 *
 *   vi.mock('node:fs/promises', async (original) => fakeDisk(await original()));
 */
import type * as files from 'node:fs/promises';
import { basename, dirname } from 'node:path';

type FileHandle = files.FileHandle;

export type Operation =
  | { readonly kind: 'create' | 'sync' | 'sync_folder' | 'unlink'; readonly path: string }
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly position: number;
      readonly bytes: Buffer;
    }
  | { readonly kind: 'truncate'; readonly path: string; readonly length: number }
  /** Not of the disk: everything up to this seq is accepted, or stored. */
  | { readonly kind: 'accepted' | 'stored'; readonly seq: number };

/** Throws, or says how many bytes are written: fewer than there are, as a disk that is nearly full. */
export type Fault = (operation: Operation) => number | void;

export const disk: { log: Operation[]; fault: Fault | undefined } = { log: [], fault: undefined };
/** Files by their path, such as /image/0000.seg. */
export const images = new Map<string, Buffer>();

export function resetDisk(): void {
  disk.log = [];
  disk.fault = undefined;
  images.clear();
}

const isImage = (path: unknown): path is string => String(path).startsWith('/image');

/** As Node makes them. */
export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: made by the test`), { code });
}

/** Returns how much of it takes place. */
function note(operation: Operation): number | void {
  const short = disk.fault?.(operation);
  const whole = operation.kind === 'write' && typeof short === 'number';
  disk.log.push(whole ? { ...operation, bytes: operation.bytes.subarray(0, short) } : operation);
  return short;
}

export function fakeDisk(original: typeof files): typeof files {
  async function open(...args: Parameters<typeof files.open>): Promise<FileHandle> {
    const path = String(args[0]);
    disk.fault?.({ kind: 'create', path });
    if (isImage(path)) return imageHandle(path);
    const isNew = args[1] === 'wx';
    const handle = await original.open(...args);
    if (isNew) disk.log.push({ kind: 'create', path });
    return recorded(handle, path, (await handle.stat()).isDirectory());
  }

  return {
    ...original,
    open,
    async rm(path, options) {
      disk.fault?.({ kind: 'unlink', path: String(path) });
      await original.rm(path, options);
      disk.log.push({ kind: 'unlink', path: String(path) });
    },
    readdir: (async (path: string, ...rest: never[]) =>
      isImage(path)
        ? [...images.keys()].filter((name) => dirname(name) === path).map((name) => basename(name))
        : original.readdir(path, ...rest)) as typeof files.readdir,
    stat: (async (path: string, ...rest: never[]) => {
      const image = images.get(path);
      return image
        ? { isFile: () => true, size: image.length, mtimeMs: 0 }
        : original.stat(path, ...rest);
    }) as typeof files.stat,
  };
}

function recorded(handle: FileHandle, path: string, isFolder: boolean): FileHandle {
  const own = {
    async write(bytes: Buffer, offset: number, length: number, position: number) {
      const part = Buffer.from(bytes.subarray(offset, offset + length));
      const short = note({ kind: 'write', path, position, bytes: part });
      return handle.write(bytes, offset, short ?? length, position);
    },
    async truncate(length: number) {
      note({ kind: 'truncate', path, length });
      await handle.truncate(length);
    },
    async datasync() {
      note({ kind: 'sync', path });
      await handle.datasync();
    },
    async sync() {
      note({ kind: isFolder ? 'sync_folder' : 'sync', path });
      await handle.sync();
    },
  };
  return new Proxy(handle, {
    get(target, key) {
      const value = Reflect.get(own, key) ?? (Reflect.get(target, key) as unknown);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function imageHandle(path: string): FileHandle {
  const bytes = images.get(path);
  if (!bytes) throw diskError('ENOENT');
  return {
    async read(target: Buffer, offset: number, length: number, position: number) {
      return { bytesRead: bytes.copy(target, offset, position, position + length), buffer: target };
    },
    close: async () => undefined,
  } as unknown as FileHandle;
}
