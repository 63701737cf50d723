/** Servers that one test has for itself, to stop, freeze and kill; gone when it ends. */
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { startRedis } from '../../src/embedded/redis.ts';
import { DEFAULT_CACHE_DIR } from '../../src/embedded/stack.ts';
import { createThrowawayFolder } from '../../src/embedded/throwaway.ts';

const log = { info: () => {}, warn: () => {} };
const cacheDir = DEFAULT_CACHE_DIR;

/** Default port: a free one. */
export async function ownPostgres(port?: number) {
  const folder = await createThrowawayFolder();
  onTestFinished(() => folder.remove());
  const dataDirectory = join(folder.path, 'postgres');
  const at = port !== undefined && { port };
  const server = await startPostgres({ cacheDir, dataDirectory, fast: true, log, ...at });
  onTestFinished(() => server.stop());
  return server;
}

/** Default port: a free one. */
export async function ownRedis(port?: number) {
  const folder = await createThrowawayFolder();
  onTestFinished(() => folder.remove());
  const at = port !== undefined && { port };
  const server = await startRedis({ cacheDir, directory: folder.path, log, ...at });
  onTestFinished(() => server.stop());
  return server;
}
