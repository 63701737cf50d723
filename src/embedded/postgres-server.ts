/** One run of a PostgreSQL server, from the command line to the first answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { codeOf, HyperfeedError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { claimDataDirectory, readLockFile } from './data-directory.ts';
import { portTaken } from './free-port.ts';
import { ownerMark } from './orphans.ts';
import { endServer, spawnServer, type ServerProcess } from './server-process.ts';

/** Crash recovery of a big data directory takes its time. */
const START_TIMEOUT_MS = 120_000;
/** Sessions of a server that was killed notice it within moments, and until then hold its memory. */
const LEFTOVER_TIMEOUT_MS = 10_000;

export const STOP_STEPS = {
  fast: [
    ['SIGINT', 20_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ],
  immediate: [
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ],
  kill: [['SIGKILL', 5_000]],
} as const;

export interface ServerOptions {
  /** Runs the server as the right user. */
  readonly command: readonly string[];
  readonly dataDirectory: string;
  readonly logFile: string;
  readonly timescale: boolean;
  readonly fast: boolean;
  readonly log: Pick<Logger, 'warn'>;
}

export const postgresUrl = (port: number): string =>
  `postgres://postgres@127.0.0.1:${port}/postgres`;

export async function launchPostgres(options: ServerOptions, port: number): Promise<ServerProcess> {
  const deadline = performance.now() + LEFTOVER_TIMEOUT_MS;
  for (;;) {
    try {
      return await attempt(options, port);
    } catch (error) {
      const retry = codeOf(error) === 'embedded_leftovers' && performance.now() < deadline;
      if (!retry) throw error;
      await sleep(50);
    }
  }
}

async function attempt(options: ServerOptions, port: number): Promise<ServerProcess> {
  const { dataDirectory, logFile, log } = options;
  const stalePid = await claimDataDirectory(dataDirectory, log);
  const server = await spawnServer({
    command: [...options.command, ...serverArguments(options, port)],
    logFile,
    stopSignal: 'SIGINT',
    // PostgreSQL's own way to say: this id in the lock file is no other server.
    ...(stalePid !== undefined && { env: { PG_GRANDPARENT_PID: String(stalePid) } }),
  });
  try {
    await waitUntilReady(server, options, port);
    await proveIdentity(dataDirectory, port);
    return server;
  } catch (error) {
    if (server.ended === undefined) await endServer(server, STOP_STEPS.immediate);
    throw error;
  }
}

function serverArguments(options: ServerOptions, port: number): string[] {
  const settings = [
    'listen_addresses=127.0.0.1',
    'max_connections=100',
    'shared_buffers=64MB',
    'timezone=UTC',
    'log_timezone=UTC',
    'log_checkpoints=off',
    ownerMark(),
    ...(options.fast ? ['fsync=off'] : []),
    // Each database with the extension takes a worker, and tests make many databases.
    ...(options.timescale
      ? [
          'shared_preload_libraries=timescaledb',
          'timescaledb.telemetry_level=off',
          'timescaledb.max_background_workers=16',
          'max_worker_processes=32',
        ]
      : []),
  ];
  return [
    '-D',
    options.dataDirectory,
    '-p',
    String(port),
    '-k',
    '',
    ...settings.flatMap((setting) => ['-c', setting]),
  ];
}

async function waitUntilReady(
  server: ServerProcess,
  options: ServerOptions,
  port: number,
): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (server.ended !== undefined) throw explain(server.ended, await server.output(), port);
    const lock = await readLockFile(options.dataDirectory);
    if (lock.pid === server.pid && lock.port === port && lock.ready) return;
    await sleep(10);
  }
  throw new HyperfeedError(
    'embedded_start',
    `PostgreSQL is not ready after ${START_TIMEOUT_MS / 1000} s: see ${options.logFile}`,
  );
}

async function proveIdentity(dataDirectory: string, port: number): Promise<void> {
  const client = new Client({ connectionString: postgresUrl(port) });
  await client.connect();
  try {
    const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
    if (rows[0]?.data_directory !== dataDirectory) throw portTaken(port);
  } finally {
    await client.end();
  }
}

function explain(ended: string, output: string, port: number): HyperfeedError {
  if (output.includes('Address already in use')) return portTaken(port);
  if (output.includes('pre-existing shared memory block')) {
    return new HyperfeedError(
      'embedded_leftovers',
      'sessions of the former server are still there',
    );
  }
  const reason = output.split('\n').find((line) => /(FATAL|PANIC):/.test(line));
  return new HyperfeedError(
    'embedded_start',
    `PostgreSQL did not start: ${reason?.replace(/^.*?(?=FATAL|PANIC)/, '') ?? ended}`,
  );
}
