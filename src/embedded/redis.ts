/**
 * A Redis of our own, on 127.0.0.1, in memory only, that ends with this process: the machine's
 * redis-server or valkey-server, else Debian's Valkey. Never an imitation.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { codeOf, HyperfeedError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { prepareDebian } from './debian.ts';
import { launchOnPort, portTaken } from './free-port.ts';
import { endOrphan, ownerMark } from './orphans.ts';
import { succeeds } from './run.ts';
import { endServer, spawnServer, type ServerProcess } from './server-process.ts';

const START_TIMEOUT_MS = 15_000;
const STOP_STEPS = [
  ['SIGTERM', 5_000],
  ['SIGKILL', 5_000],
] as const;

export interface RedisOptions {
  readonly cacheDir: string;
  /** For its log and its pid file. */
  readonly directory: string;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Default: a free one. */
  readonly port?: number;
}

export interface EmbeddedRedis {
  readonly url: string;
  /** E.g. `valkey 8.1.1 from Debian`. */
  readonly kind: string;
  /** Of the server that was started last. */
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  /** On the same port, and empty; stops it first where it runs. */
  restart(): Promise<void>;
  /** It keeps its connections and answers nothing, as a stalled machine does, until `resume`. */
  pause(): void;
  resume(): void;
}

export async function startRedis(options: RedisOptions): Promise<EmbeddedRedis> {
  const { log } = options;
  const startedAt = performance.now();
  const directory = resolve(options.directory);
  await mkdir(directory, { recursive: true });
  const program = await findProgram(options);
  const launch = (onPort: number) => launchRedis(program.command, { directory, log }, onPort);
  const { port, launched } = await launchOnPort(options.port, launch);
  let { server } = launched;
  const kind = `${launched.version} ${program.origin}`;
  const tookMs = Math.round(performance.now() - startedAt);
  log.info({ tookMs, port, directory, kind }, 'redis started');

  const stop = async () => {
    // A paused server would sleep through SIGTERM.
    server.signal('SIGCONT');
    await endServer(server, STOP_STEPS);
  };
  return {
    kind,
    port,
    stop,
    url: `redis://127.0.0.1:${port}`,
    get pid() {
      return server.pid;
    },
    kill: () => endServer(server, [['SIGKILL', 5_000]]),
    async restart() {
      await stop();
      ({ server } = await launch(port));
    },
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
  };
}

async function findProgram(
  options: RedisOptions,
): Promise<{ command: readonly string[]; origin: string }> {
  for (const name of ['redis-server', 'valkey-server']) {
    if (await succeeds([name, '--version'])) return { command: [name], origin: 'on PATH' };
  }
  const debian = await prepareDebian(options.cacheDir, options.log);
  if ('unavailable' in debian) {
    throw new HyperfeedError(
      'embedded_redis',
      `no Redis here (${debian.unavailable}): set REDIS_URL, or install redis-server or valkey-server`,
    );
  }
  const program = join(debian.runtime.root, 'usr/bin/valkey-server');
  return { command: debian.runtime.loaderCommand(program), origin: 'from Debian' };
}

async function launchRedis(
  command: readonly string[],
  { directory, log }: Pick<RedisOptions, 'directory' | 'log'>,
  port: number,
): Promise<{ server: ServerProcess; version: string }> {
  const pidFile = join(directory, 'redis.pid');
  await claimDirectory(directory, pidFile, log);
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    databases: '64',
    dir: directory,
    save: '',
    appendonly: 'no',
    pidfile: pidFile,
    // The command line stays as it is, and tells whose server this is. Nothing goes to syslog.
    'set-proc-title': 'no',
    'syslog-ident': ownerMark(),
  };
  const server = await spawnServer({
    command: [
      ...command,
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ],
    logFile: join(directory, 'redis.log'),
    stopSignal: 'SIGTERM',
  });
  try {
    await waitUntilReady(server, port);
    return { server, version: await proveIdentity(server, port) };
  } catch (error) {
    if (server.ended === undefined) await endServer(server, STOP_STEPS);
    throw error;
  }
}

async function claimDirectory(
  folder: string,
  pidFile: string,
  log: Pick<Logger, 'warn'>,
): Promise<void> {
  let pid: number;
  try {
    pid = Number(await readFile(pidFile, 'utf8'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  await endOrphan(pid, { folder, words: `--pidfile ${pidFile}`, steps: STOP_STEPS, log });
}

async function waitUntilReady(server: ServerProcess, port: number): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const output = await server.output();
    if (server.ended !== undefined) {
      if (output.includes('Address already in use')) throw portTaken(port);
      const lastLine = output.trim().split('\n').at(-1);
      throw new HyperfeedError(
        'embedded_start',
        `Redis did not start: ${lastLine || server.ended}`,
      );
    }
    if (output.includes('Ready to accept connections')) return;
    await sleep(10);
  }
  throw new HyperfeedError('embedded_start', `Redis is not ready after ${START_TIMEOUT_MS} ms`);
}

/** Returns name and version of the server that answers, once it has shown to be ours. */
async function proveIdentity(server: ServerProcess, port: number): Promise<string> {
  const client = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: null });
  try {
    await client.connect();
    const info = await client.info('server');
    const field = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1];
    if (field('process_id') !== String(server.pid)) throw portTaken(port);
    const valkey = field('valkey_version');
    return valkey === undefined ? `redis ${field('redis_version')}` : `valkey ${valkey}`;
  } finally {
    client.disconnect();
  }
}
