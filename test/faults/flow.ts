/**
 * A daemon in full flow: exchange, database, spool and lives of its own. `begin` brings it there, a
 * scenario makes its faults, `settle` ends it and says what is wrong.
 */
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startPostgres } from '../../src/embedded/postgres.ts';
import { startRedis } from '../../src/embedded/redis.ts';
import { run } from '../../src/embedded/run.ts';
import { DEFAULT_CACHE_DIR } from '../../src/embedded/stack.ts';
import { createThrowawayFolder } from '../../src/embedded/throwaway.ts';
import { watchBounds } from './bounds.ts';
import { CANARIES, type Life, type Settings, startLife } from './daemon.ts';
import { startExchange } from './exchange.ts';
import { startLink } from './link.ts';
import { psql, psqlRow } from './psql.ts';
import type { FlowOptions } from './scenario.ts';
import { until, type World } from './world.ts';

export type Flow = Awaited<ReturnType<typeof createFlow>>;

const log = { info: () => {}, warn: () => {} };
const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT'];
const RATE = 500;

export async function createFlow(world: World, source: string, options: FlowOptions) {
  const { symbols = SYMBOLS, channels = ['trades', 'candles'], rate = RATE } = options;
  const servers = await createThrowawayFolder();
  world.defer(() => servers.remove());
  const folder = await temporaryFolder(world);
  const [postgres, exchange, redis] = await Promise.all([
    ownPostgres(world, join(servers.path, 'postgres')),
    startExchange(world, { symbols, folder }),
    options.redis ? ownRedis(world, servers.path) : undefined,
  ]);
  const spool = await spoolFolder(world, folder, options);
  const database = new URL(postgres.url);
  database.password = CANARIES.database;
  const links = {
    database: options.links?.includes('database')
      ? await startLink(world, database.href)
      : undefined,
    exchange: options.links?.includes('exchange')
      ? await startLink(world, exchange.wsUrl)
      : undefined,
  };
  const settings: Settings = {
    symbols,
    channels,
    'connection.wsUrl': links.exchange?.url ?? exchange.wsUrl,
    'connection.restUrl': (links.exchange?.url ?? exchange.restUrl).replace(/^ws/, 'http'),
    'connection.reconnect.minDelayMs': 50,
    'connection.reconnect.maxDelayMs': 1_000,
    'database.url': links.database?.url ?? database.href,
    'spool.directory': spool,
    'redis.enabled': redis !== undefined,
    ...(redis && { 'redis.url': redis.url.replace('//', `//default:${CANARIES.redis}@`) }),
    'http.port': 0,
    'http.token': CANARIES.token,
    ...options.settings,
  };
  const lives: Life[] = [];
  const streams = symbols.length * channels.length;
  let candlesFrom: number | undefined;

  const watch = watchBounds(world, {
    pids: () => lives.filter((life) => !life.hasEnded()).map(({ pid }) => pid),
    spool,
    sessions: async () => sessionsOf(postgres.url, lives.length > 1 ? 2 : 1),
  });

  /** Another daemon, or another life of the same one. */
  function startDaemon(
    more: Settings = {},
    environment: Readonly<Record<string, string>> = {},
    from = source,
  ) {
    const life = startLife(world, from, { ...settings, ...more }, environment);
    lives.push(life);
    return life;
  }

  /** Until trades of now on are stored. */
  async function flowing(timeoutMs = 60_000): Promise<void> {
    const since = new Date().toISOString();
    await until('rows of now to be stored', () => storedSince(since), { timeoutMs, everyMs: 50 });
  }

  async function storedSince(since: string): Promise<boolean> {
    const query = `SELECT EXISTS (SELECT FROM trades WHERE time > '${since}')`;
    return (await psql(postgres.url, query).catch(() => '')) === 't';
  }

  return {
    world,
    source,
    symbols,
    rate,
    folder,
    spool,
    spoolOfExchange: join(spool, 'binance'),
    exchange,
    postgres,
    redis,
    links,
    lives,
    watch,
    settings,
    startDaemon,
    flowing,
    /** All of its streams are listened to, by as many daemons. */
    listened: (daemons = 1) => exchange.subscribed(streams * daemons, 60_000),
    /** A query, by psql. */
    query: (script: string) => psql(postgres.url, script),
    row: <T>(query: string) => psqlRow<T>(postgres.url, query),
    /** The daemon that was started last. */
    daemon(): Life {
      const life = lives.at(-1);
      if (!life) throw new Error('no daemon was started');
      return life;
    },
    /** When its candles began to be listened to, in ms; undefined: they are not. */
    candlesFrom: () => candlesFrom,
    /** What was before the first trade that was ever stored is promised by nobody. */
    async begin(...args: Parameters<typeof startDaemon>): Promise<Life> {
      const life = startDaemon(...args);
      await life.says('storing');
      await exchange.subscribed(streams, 60_000);
      if (channels.includes('candles')) candlesFrom = Date.now();
      for (const symbol of symbols) await exchange.burst(symbol, 1);
      const query = 'SELECT count(DISTINCT symbol) FROM trades';
      await until(
        'the first trades',
        async () => Number(await psql(postgres.url, query)) === symbols.length,
      );
      await exchange.setRate(rate);
      await flowing();
      return life;
    },
  };
}

/** Of daemons, less those of as many that rightly have some. */
async function sessionsOf(url: string, daemons: number): Promise<number> {
  const query = `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hyperfeed%'`;
  return Math.ceil(Number(await psql(url, query)) / daemons);
}

export async function ownPostgres(world: World, dataDirectory: string, port?: number) {
  const at = port !== undefined && { port };
  const cacheDir = DEFAULT_CACHE_DIR;
  const server: EmbeddedPostgres = await startPostgres({
    cacheDir,
    dataDirectory,
    fast: true,
    log,
    ...at,
  });
  world.defer(() => server.stop('immediate'));
  return server;
}

async function ownRedis(world: World, directory: string) {
  const server = await startRedis({
    cacheDir: DEFAULT_CACHE_DIR,
    directory: join(directory, 'redis'),
    log,
  });
  world.defer(() => server.stop());
  return server;
}

export async function temporaryFolder(world: Pick<World, 'defer'>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hyperfeed-faults-'));
  world.defer(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function spoolFolder(world: World, folder: string, { spoolOn }: FlowOptions) {
  const path = join(folder, 'spool');
  await mkdir(path);
  if (!spoolOn) return path;
  await run(['mount', '-t', 'tmpfs', '-o', `size=${spoolOn.tmpfsBytes}`, 'tmpfs', path]);
  world.defer(() => run(['umount', '-l', path]));
  return path;
}

/** Segments that wait on disk. */
export async function segmentsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.seg')).toSorted();
}
