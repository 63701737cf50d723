/**
 * A PostgreSQL of our own, on 127.0.0.1, that ends with this process.
 *
 *   absent --initdb--> stopped --start, restart--> running --stop, kill--> stopped
 *
 * Running is what its lock file says, checked against the process that was started and the answer
 * on its port: a server that somebody left there is never taken for ours.
 */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Logger } from '../log.ts';
import { createDataDirectory } from './data-directory.ts';
import { launchOnPort } from './free-port.ts';
import { preparePostgres } from './postgres-binaries.ts';
import { launchPostgres, postgresUrl, STOP_STEPS } from './postgres-server.ts';
import { childrenOf, signalProcess } from './process-table.ts';
import { detectRunAs, reachableFolder, type RunAs } from './run-as.ts';
import { endServer } from './server-process.ts';

export interface PostgresOptions {
  /** The programs are put together here, once. */
  readonly cacheDir: string;
  /** Made when it is absent. `stop` leaves it. The server's log is next to it. */
  readonly dataDirectory: string;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Default: a free one. */
  readonly port?: number;
  /** Without fsync: for data that may die with the machine. */
  readonly fast?: boolean;
  /** Default: what works here. */
  readonly runAs?: RunAs;
}

export interface EmbeddedPostgres {
  readonly url: string;
  /** Version of the TimescaleDB that CREATE EXTENSION brings; undefined: plain PostgreSQL. */
  readonly timescale: string | undefined;
  /** Of the server that was started last. */
  readonly pid: number;
  readonly port: number;
  readonly dataDirectory: string;
  readonly logFile: string;
  /** Fast: sessions are cut, data is flushed. Immediate: like a crash, with recovery at the next start. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** kill -9 of the server and its sessions at once. */
  kill(): Promise<void>;
  /** On the same port; stops it first where it runs. */
  restart(): Promise<void>;
}

export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const { log, fast = false } = options;
  const startedAt = performance.now();
  const runAs = options.runAs ?? (await detectRunAs());
  const cacheDir = await reachableFolder(runAs, options.cacheDir);
  const parent = await realpath(await reachableFolder(runAs, dirname(options.dataDirectory)));
  const dataDirectory = join(parent, basename(options.dataDirectory));
  const logFile = `${dataDirectory}.log`;

  const { initdb, server: command, timescale } = await preparePostgres(cacheDir, log);
  const created = await createDataDirectory(dataDirectory, { initdb, runAs, fast });
  const launch = (onPort: number) =>
    launchPostgres(
      {
        dataDirectory,
        logFile,
        fast,
        log,
        command: [...runAs.prefix, ...command],
        timescale: timescale !== undefined,
      },
      onPort,
    );
  const { port, launched } = await launchOnPort(options.port, launch);
  let server = launched;
  const tookMs = Math.round(performance.now() - startedAt);
  log.info({ tookMs, port, dataDirectory, created, timescale }, 'postgresql started');

  return {
    timescale,
    port,
    dataDirectory,
    logFile,
    url: postgresUrl(port),
    get pid() {
      return server.pid;
    },
    stop: (mode = 'fast') => endServer(server, STOP_STEPS[mode]),
    async kill() {
      // Sessions answer for a moment longer than their server lives. It must not start new ones.
      server.signal('SIGSTOP');
      for (const session of await childrenOf(server.pid)) signalProcess(session, 'SIGKILL');
      await endServer(server, STOP_STEPS.kill);
    },
    async restart() {
      await endServer(server, STOP_STEPS.fast);
      server = await launch(port);
    },
  };
}
