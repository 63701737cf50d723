/** Composition root: builds the parts from the configuration, in the order in which they start. */
import type { AddressInfo } from 'node:net';
import type { Config } from './config.ts';
import { UsageError } from './errors.ts';
import { createHealth } from './health.ts';
import { createHttpServer } from './http-server.ts';
import type { WsAdapter } from './ingest/adapter.ts';
import type { Instrument, MarketEvent } from './ingest/events.ts';
import { createFeed } from './ingest/feed.ts';
import { createFeedReport } from './ingest/feed-report.ts';
import { createMarkets } from './ingest/markets.ts';
import { createRest } from './ingest/rest.ts';
import type { MarketSource, Plan } from './ingest/source.ts';
import { createWsSource } from './ingest/ws-source.ts';
import { createLifecycle, type Lifecycle, type Service } from './lifecycle.ts';
import type { Logger } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import type { Engine } from './schema/engine.ts';
import { createKeyspace } from './schema/keyspace.ts';
import { prepareSchema } from './schema/prepare.ts';
import { version } from './version.ts';
import { createLatest } from './writers/latest.ts';
import { clientConfig } from './writers/pg.ts';
import { createRecorder } from './writers/recorder.ts';
import { openSpool } from './writers/spool.ts';
import { createStore } from './writers/store.ts';
import { storeReport } from './writers/store-report.ts';
import { createSymbolsWriter } from './writers/symbols.ts';

export interface DaemonOptions {
  readonly config: Config;
  readonly adapter: WsAdapter;
  readonly logger: Logger;
  /** The database answers and refuses: no use in going on. */
  readonly onRefused: (error: unknown) => void;
  /** Instead of the live exchange: a recording. */
  readonly source?: (inlet: Inlet) => Feeder;
}

/** What a source may use of the daemon. */
export interface Inlet {
  readonly metrics: Metrics;
  readonly onMarkets: (markets: readonly Instrument[], complete: boolean) => void;
  /** Resolves when everything that was emitted is on disk. */
  readonly accepted: () => Promise<void>;
}

export interface Feeder {
  readonly source: MarketSource;
  readonly plan: (signal: AbortSignal) => Promise<Plan>;
}

export interface Daemon extends Lifecycle {
  readonly metrics: Metrics;
  /** Of the health server; undefined when it is off. */
  address(): AddressInfo | undefined;
  /** True when every accepted row is stored. */
  isDrained(): boolean;
}

/** Throws what opening the spool throws, and UsageError for a configuration that cannot work. */
export async function createDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, adapter, logger, onRefused } = options;
  const exchange = adapter.id;
  const { database, http, redis, spool: spoolConfig } = config;
  if (!database.url) {
    throw new UsageError('no_database', 'database.url is not set; set DATABASE_URL');
  }
  if (redis.enabled && !redis.url) {
    throw new UsageError('no_redis', 'redis.url is not set; set REDIS_URL or redis.enabled: false');
  }
  const now = () => Date.now() * 1000;
  const metrics = createMetrics(exchange);
  const health = createHealth({ exchange, version, metrics, logger });
  const writer = clientConfig(database, `hyperfeed-${exchange}`);
  const symbols = createSymbolsWriter(exchange);
  const spool = await openSpool({ exchange, config: spoolConfig, metrics, logger });
  const recorder = createRecorder({ spool, config: spoolConfig, metrics, logger });
  let engine: Engine | undefined;
  const store = createStore({
    exchange,
    spool,
    symbols,
    config: database,
    async prepare(signal) {
      const migrations = database.migrate;
      engine = await prepareSchema({ clientConfig: writer, logger, signal, migrations });
      metrics.info.set({ version, engine: engine.edition }, 1);
    },
    onRefused,
    metrics,
    logger,
  });
  const keys = createKeyspace(redis.keyPrefix);
  const latest = redis.enabled
    ? createLatest({ redis, keys, metrics, logger, metricValues })
    : undefined;
  const onMarkets = (list: readonly Instrument[], complete: boolean) => symbols.set(list, complete);
  const { source, plan } = options.source?.({ metrics, onMarkets, accepted }) ?? live();
  const feed = createFeed({
    source,
    plan,
    contiguousTradeIds: adapter.channels.trades === 'ids',
    snapshotIntervalMs: config.orderBook.snapshotIntervalMs,
    latest: (event: MarketEvent) => latest?.push(event),
    record: (event: MarketEvent) => recorder.push(event),
    now,
    metrics,
    logger,
  });
  const server = http.enabled ? createHttpServer({ health, metrics, logger, ...http }) : undefined;

  async function accepted(): Promise<void> {
    recorder.flush();
    await spool.flush(new AbortController().signal);
  }

  function live(): Feeder {
    const rest = createRest({
      baseUrl: config.connection.restUrl ?? adapter.urls.rest,
      weightPerMinute: adapter.limits.restWeightPerMinute,
    });
    const markets = createMarkets({
      adapter,
      rest,
      symbols: config.symbols,
      onMarkets,
      logger,
    });
    return {
      source: createWsSource({ adapter, rest, config, now, metrics, logger }),
      plan: async (signal) => ({
        instruments: await markets.resolve(signal),
        channels: config.channels,
      }),
    };
  }

  function metricValues() {
    const { connections, streams } = source.status();
    const values = {
      connections_open: connections.open,
      streams_live: streams.filter((stream) => stream.state === 'live').length,
      spool_bytes: spool.status().bytes,
      uptime_seconds: Math.round(performance.now() / 1000),
    };
    const component = `hyperfeed-${exchange}`;
    return Object.entries(values).map(([name, value]) => ({ component, name, value }));
  }

  if (latest) health.register('redis', () => latest.report());
  health.register('feed', createFeedReport(() => source.status()));
  health.register('store', () => {
    const report = storeReport(store.status(), spool.status());
    return { ...report, status: { ...report.status, engine } };
  });

  /** The last to stop but for the server: everything that was appended is on disk by then. */
  const files: Service = {
    name: 'spool',
    start: async () => undefined,
    stop: () => spool.close(),
  };
  const recording: Service = {
    name: 'recorder',
    start: async () => undefined,
    async stop(deadline) {
      recorder.flush();
      await spool.flush(deadline);
    },
  };
  const services = [server, files, latest, store, recording, feed].filter((s) => s !== undefined);
  const lifecycle = createLifecycle({ services, logger, deadlineMs: config.shutdownTimeoutMs });

  return {
    metrics,
    start: (signal) => lifecycle.start(signal),
    stop() {
      health.setDraining();
      return lifecycle.stop().finally(() => health.close());
    },
    address: () => server?.address(),
    isDrained: () => spool.isEmpty(),
  };
}
