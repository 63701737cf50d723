/** What the daemon may use: read from the kernel, not asked of the daemon. Linux only, else unknown. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { World } from './world.ts';

export interface Limits {
  readonly rssBytes: number;
  readonly descriptors: number;
  readonly spoolBytes: number;
  readonly sessions: number;
}

const MIB = 1024 * 1024;
/** A daemon needs half of it on a quiet day. */
export const LIMITS: Limits = {
  rssBytes: 400 * MIB,
  descriptors: 100,
  spoolBytes: 512 * MIB,
  sessions: 8,
};

const EVERY_MS = 500;

export type Watch = ReturnType<typeof watchBounds>;

/** The most that any of these used at once, looked at twice a second. */
export function watchBounds(
  world: World,
  options: {
    readonly pids: () => readonly number[];
    readonly spool: string;
    readonly sessions: () => Promise<number>;
  },
) {
  const most = { rssBytes: 0, descriptors: 0, spoolBytes: 0, sessions: 0 };
  let looking: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    looking = looking.then(look);
  }, EVERY_MS);
  world.defer(async () => {
    clearInterval(timer);
    await looking;
  });

  async function look(): Promise<void> {
    for (const pid of options.pids()) {
      const { rssBytes, descriptors } = await usedBy(pid);
      most.rssBytes = Math.max(most.rssBytes, rssBytes);
      most.descriptors = Math.max(most.descriptors, descriptors);
    }
    most.spoolBytes = Math.max(most.spoolBytes, await folderBytes(options.spool));
    // A server that is down has none.
    most.sessions = Math.max(most.sessions, await options.sessions().catch(() => 0));
  }

  return {
    most: most as Readonly<typeof most>,
    problems(limits: Limits): string[] {
      return (Object.keys(limits) as (keyof Limits)[])
        .filter((what) => most[what] > limits[what])
        .map((what) => `${what} ${most[what]} > ${limits[what]}`);
    },
  };
}

export async function usedBy(pid: number): Promise<{ rssBytes: number; descriptors: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
  return {
    rssBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024,
    descriptors: names.length,
  };
}

async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  // Segments go while one looks.
  const sizes = names.map((name) =>
    stat(join(folder, name)).then(
      (entry) => (entry.isFile() ? entry.size : 0),
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
