/**
 * `hyperfeed up` (npm start): the whole job on this machine. What is not there - PostgreSQL, Redis,
 * a reachable exchange - is brought along or simulated, and said.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import type { Config } from '../config.ts';
import { createDaemon, type Daemon } from '../daemon.ts';
import { DEFAULT_CACHE_DIR, startStack } from '../embedded/stack.ts';
import { succeeds } from '../embedded/run.ts';
import { HyperfeedError, messageOf, UsageError } from '../errors.ts';
import { type Exchange, isNative } from '../ingest/exchange.ts';
import { loadExchange } from '../ingest/registry.ts';
import { createRest } from '../ingest/rest.ts';
import type { Logger } from '../log.ts';
import { collectProcessMetrics } from '../metrics.ts';
import { type Session, withClient } from '../schema/connect.ts';
import { startSimulatedExchange } from '../sim/exchange.ts';
import { createRatePanel } from './rate-panel.ts';
import { commandSession } from './database-session.ts';

const REACH_TIMEOUT_MS = 5_000;
const DATABASE = 'hyperfeed';
/** What the simulated exchange speaks as. */
const SIMULATED = 'binance';

export interface UpOptions {
  readonly config: Config;
  /** Keys that somebody set; the others may be chosen here. */
  readonly isSet: (key: string) => boolean;
  readonly simulated: boolean;
  /** JSON lines; the terminal is for people. */
  readonly createLogger: (file: string) => Logger;
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  /** Of the servers, the spool and the log. Default: in the project, kept between runs. */
  readonly dataDir?: string;
  readonly signal: AbortSignal;
}

/** Resolves to the exit code when everything that was started has stopped. */
export async function runUp(options: UpOptions): Promise<number> {
  const { write, signal, dataDir = join(DEFAULT_CACHE_DIR, 'up') } = options;
  const wanted = await loadExchange(options.config.exchange);
  if (options.simulated && wanted.id !== SIMULATED) {
    throw new UsageError(
      'no_simulation',
      `only ${SIMULATED} is simulated, not ${wanted.id}: leave --exchange out`,
    );
  }
  await mkdir(dataDir, { recursive: true });
  const logFile = join(dataDir, 'hyperfeed.log');
  const logger = options.createLogger(logFile);
  const stops: (() => Promise<unknown>)[] = [];
  let starting: Promise<unknown>[] = [];
  try {
    const { database, redis } = options.config;
    const servers = startStack({
      log: logger,
      dataDir,
      databaseUrl: database.url,
      redisUrl: redis.url,
    });
    const choice = chooseExchange(wanted, options);
    starting = [
      servers.then((started) => stops.push(() => started.stop())),
      choice.then(({ stop }) => stop && stops.unshift(stop)),
    ];
    await Promise.all(starting);
    const [stack, exchange] = await Promise.all([servers, choice]);
    if (signal.aborted) return 0;
    const url = database.url ?? (await ownDatabase(stack.databaseUrl));
    if (exchange.stop) {
      const clientConfig = commandSession(url, database.allowInsecure, 'hyperfeed up');
      await forgetFormerRuns({ clientConfig, logger, signal }, exchange.adapter.id);
    }
    const config: Config = {
      ...exchange.config,
      database: { ...database, url },
      redis: { ...redis, url: stack.redisUrl },
      spool: options.isSet('spool.directory')
        ? options.config.spool
        : { ...options.config.spool, directory: join(dataDir, 'spool') },
      http: options.isSet('http.statusPage')
        ? options.config.http
        : { ...options.config.http, statusPage: true },
    };
    if (database.url === undefined) write(`${describeStack(stack)}\n`);

    const refused = new AbortController();
    const onRefused = (error: unknown) => refused.abort(error);
    const daemon = await createDaemon({ config, adapter: exchange.adapter, logger, onRefused });
    collectProcessMetrics(daemon.metrics);
    stops.unshift(() => daemon.stop());
    await daemon.start(AbortSignal.any([signal, refused.signal]));
    const own = { database: database.url === undefined, redis: redis.url === undefined };
    write(await guide(config, own, exchange.adapter.id, daemon, logFile));
    await showRates(daemon, options, AbortSignal.any([signal, refused.signal]));
    refused.signal.throwIfAborted();
    return 0;
  } catch (error) {
    if (signal.aborted) return 0;
    throw error;
  } finally {
    write('\nstopping: storing what was received, then ending what was started\n');
    // What one failed beside may be on its way still.
    await Promise.allSettled(starting);
    for (const stop of stops) await stop();
    write('stopped\n');
  }
}

interface ChosenExchange {
  readonly adapter: Exchange;
  readonly config: Config;
  readonly stop?: () => Promise<unknown>;
}

async function chooseExchange(adapter: Exchange, options: UpOptions): Promise<ChosenExchange> {
  const { isSet, write, signal } = options;
  const symbols = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT', 'BNB/USDT', 'XRP/USDT'];
  const config = isSet('symbols') ? options.config : { ...options.config, symbols };
  const problem = options.simulated ? 'as asked for' : await unreachable(adapter, config, signal);
  if (problem === undefined) {
    write(`exchange: ${adapter.id}, live\n`);
    return { adapter, config };
  }
  if (adapter.id !== SIMULATED) {
    const instead = 'without any exchange: hyperfeed up --simulated';
    throw new HyperfeedError(
      'unreachable',
      `${adapter.id} cannot be reached: ${problem}; ${instead}`,
    );
  }
  const simulation = await startSimulatedExchange({
    seed: 1,
    symbols: config.symbols,
    // Trades of another run are other trades.
    firstTradeId: Math.floor(Date.now() / 1000) * 1000,
  });
  const why = options.simulated ? problem : `${adapter.id} cannot be reached (${problem})`;
  // Its rows carry another name: nobody shall take them for the exchange's.
  const id = `${adapter.id}-simulated`;
  write(`exchange: SIMULATED, ${why}; its rows say ${id}\n`);
  const { wsUrl, restUrl } = simulation;
  return {
    adapter: { ...adapter, id },
    config: { ...config, connection: { ...config.connection, wsUrl, restUrl } },
    stop: () => simulation.stop(),
  };
}

/** Why the exchange does not answer within 5 s; undefined when it does. */
async function unreachable(
  adapter: Exchange,
  config: Config,
  signal: AbortSignal,
): Promise<string | undefined> {
  // What ccxt asks for first takes longer than one may wait here.
  if (!isNative(adapter)) return undefined;
  const [request] = adapter.markets?.requests ?? [];
  if (!request) return undefined;
  const baseUrl = config.connection.restUrl ?? adapter.urls.rest;
  const rest = createRest({ baseUrl, weightPerMinute: adapter.limits.restWeightPerMinute });
  try {
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(REACH_TIMEOUT_MS)]);
    await rest.get(request, timeout);
    return undefined;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return messageOf(cause);
  }
}

/** Not `postgres`: that one is for maintenance. */
async function ownDatabase(serverUrl: string): Promise<string> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [
      DATABASE,
    ]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${DATABASE}`;
  return url.href;
}

/** Each simulation is another exchange: between its trades and those of a former one nothing is missing. */
async function forgetFormerRuns(session: Session, exchange: string): Promise<void> {
  await withClient(session, async (client) => {
    const { rows } = await client.query(`SELECT to_regclass('ingest_cursor') AS cursor`);
    if (rows[0]?.cursor === null) return;
    await client.query('DELETE FROM ingest_cursor WHERE exchange = $1', [exchange]);
  });
}

function describeStack({
  timescale,
  redisKind,
}: {
  timescale: string | undefined;
  redisKind: string;
}) {
  const engine = timescale
    ? `PostgreSQL with TimescaleDB ${timescale}`
    : 'PostgreSQL WITHOUT TimescaleDB (it could not be had here): partitioned tables';
  return `embedded: ${engine}; ${redisKind}`;
}

async function guide(
  config: Config,
  own: { readonly database: boolean; readonly redis: boolean },
  exchange: string,
  daemon: Daemon,
  logFile: string,
): Promise<string> {
  const { database, redis } = config;
  const { address: host, port } = daemon.address() ?? {};
  const [symbol = ''] = config.symbols;
  const sql = `SELECT * FROM trades WHERE symbol = '${symbol}' ORDER BY time DESC LIMIT 5`;
  const variables = [
    ...(own.database ? [`DATABASE_URL='${database.url}'`] : []),
    ...(own.redis ? [`REDIS_URL=${redis.url}`] : []),
  ];
  const missing: string[] = [];
  if (!(await succeeds(['psql', '--version']))) missing.push('postgresql-client');
  if (!(await succeeds(['redis-cli', '--version']))) missing.push('redis-tools');
  return [
    '',
    `  psql ${shown(database.url, 'DATABASE_URL', `'`)} -c "${sql}"`,
    `  redis-cli -u ${shown(redis.url, 'REDIS_URL')} hgetall '${redis.keyPrefix}price:${exchange}:${symbol}'`,
    ...(missing.length > 0 ? [`  (not installed here: apt-get install ${missing.join(' ')})`] : []),
    ...(port === undefined || !config.http.statusPage ? [] : [`  page    http://${host}:${port}/`]),
    ...(port === undefined ? [] : [`  health  http://${host}:${port}/health`]),
    ...(port === undefined ? [] : [`  metrics http://${host}:${port}/metrics`]),
    `  log     ${logFile}`,
    '',
    ...(variables.length === 0
      ? []
      : [
          '  Other commands find these servers (npx hyperfeed gaps list, export trades, doctor) after',
          `  export ${variables.join(' ')}`,
          '',
        ]),
    '  Ctrl-C drains and stops everything.',
    '',
    '',
  ].join('\n');
}

/** A URL with a password in it is not for the screen. */
function shown(url: string | undefined, variable: string, quote = ''): string {
  const mayHoldOne = url === undefined || /:\/\/[^/@]*:[^/]*@|\?/.test(url);
  return mayHoldOne ? `"$${variable}"` : quote + url + quote;
}

async function showRates(
  daemon: Daemon,
  { write, isTerminal }: UpOptions,
  signal: AbortSignal,
): Promise<void> {
  const panel = createRatePanel(daemon.metrics);
  const everyMs = isTerminal ? 1_000 : 5_000;
  await new Promise<void>((resolve) => {
    const show = async () => {
      const line = await panel.line();
      write(isTerminal ? `\r\u001B[2K${line}` : `${line}\n`);
    };
    // Rows are on their way at once: nobody should wait for the first line.
    const first = setTimeout(() => void show(), 1_000);
    const timer = setInterval(() => void show(), everyMs);
    const end = () => {
      clearTimeout(first);
      clearInterval(timer);
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}
