/**
 * PostgreSQL with TimescaleDB and a Redis, without Docker and without an installation. What the user
 * has already, by URL, is used as it is.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../log.ts';
import { startPostgres } from './postgres.ts';
import { startRedis } from './redis.ts';
import { detectRunAs, reachableFolder } from './run-as.ts';
import { createThrowawayFolder } from './throwaway.ts';

/** In the project, where git ignores it. */
export const DEFAULT_CACHE_DIR = fileURLToPath(new URL('../../.cache', import.meta.url));

export interface StackOptions {
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Default: .cache in the project. */
  readonly cacheDir?: string;
  /** Keeps the database between runs. Default: a throwaway folder. */
  readonly dataDir?: string;
  /** Without fsync: for tests. */
  readonly fast?: boolean;
  /** Given: no PostgreSQL is started. */
  readonly databaseUrl?: string | undefined;
  /** Given: no Redis is started. */
  readonly redisUrl?: string | undefined;
}

export interface Stack {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Version that the started PostgreSQL has; undefined where it has none, or was not started. */
  readonly timescale: string | undefined;
  /** E.g. `valkey 8.1.1 from Debian`, or `given`. */
  readonly redisKind: string;
  /** Ends what was started. Call it after everything that uses the stack has stopped. */
  stop(): Promise<void>;
}

export async function startStack(options: StackOptions): Promise<Stack> {
  const { log, databaseUrl, redisUrl, fast = false } = options;
  if (databaseUrl !== undefined && redisUrl !== undefined) {
    return {
      databaseUrl,
      redisUrl,
      timescale: undefined,
      redisKind: 'given',
      stop: () => Promise.resolve(),
    };
  }
  // Resolved here, so that both servers take what they share from one folder.
  const cache = options.cacheDir ?? DEFAULT_CACHE_DIR;
  const cacheDir =
    databaseUrl === undefined ? await reachableFolder(await detectRunAs(), cache) : cache;
  const throwaway = options.dataDir === undefined ? await createThrowawayFolder() : undefined;
  const dataDir = options.dataDir ?? throwaway?.path ?? '';

  const startingPostgres =
    databaseUrl === undefined
      ? startPostgres({ cacheDir, dataDirectory: join(dataDir, 'postgres'), fast, log })
      : Promise.resolve(undefined);
  const startingRedis =
    redisUrl === undefined
      ? startRedis({ cacheDir, directory: join(dataDir, 'redis'), log })
      : Promise.resolve(undefined);

  const stop = async () => {
    const started = await Promise.allSettled([startingPostgres, startingRedis]);
    await Promise.all(
      started.map(async (one) => (one.status === 'fulfilled' ? one.value?.stop() : undefined)),
    );
    await throwaway?.remove();
  };
  try {
    const [postgres, redis] = await Promise.all([startingPostgres, startingRedis]);
    return {
      databaseUrl: databaseUrl ?? postgres?.url ?? '',
      redisUrl: redisUrl ?? redis?.url ?? '',
      timescale: postgres?.timescale,
      redisKind: redis?.kind ?? 'given',
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
