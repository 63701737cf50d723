/** Composition root: builds the parts from the configuration, in the order in which they start. */
import type { AddressInfo } from 'node:net';
import type { Config } from './config.ts';
import { UsageError } from './errors.ts';
import { createHealth } from './health.ts';
import { createHttpServer } from './http-server.ts';
import type { Instrument, MarketEvent, Micros } from './ingest/events.ts';
import { type Exchange, openExchange, tradesById } from './ingest/exchange.ts';
import { createFeed } from './ingest/feed.ts';
import { createFeedReport } from './ingest/feed-report.ts';
import { createRepair } from './ingest/repair.ts';
import type { MarketSource, Plan } from './ingest/source.ts';
import type { TradeHistoryOptions } from './ingest/trade-history.ts';
import { createLifecycle, type Lifecycle, type Service } from './lifecycle.ts';
import { type Logger, teeLogger } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import type { Engine } from './schema/engine.ts';
import { createKeyspace } from './schema/keyspace.ts';
import { createMirrored } from './schema/keyspace/mirrored.ts';
import { prepareSchema } from './schema/prepare.ts';
import { compressAfter, retentionRules } from './schema/retention-rules.ts';
import { createRetention } from './schema/retention-service.ts';
import { version } from './version.ts';
import { createGapLedger } from './writers/gap-ledger.ts';
import { createLatest } from './writers/latest.ts';
import { createMirror } from './writers/mirror.ts';
import { createLogSink } from './writers/log-sink.ts';
import { clientConfig } from './writers/pg.ts';
import { createRecorder } from './writers/recorder.ts';
import { openSpool } from './writers/spool.ts';
import { createStore } from './writers/store.ts';
import { storeReport } from './writers/store-report.ts';
import { createSymbolsWriter } from './writers/symbols.ts';

export interface DaemonOptions {
  readonly config: Config;
  readonly adapter: Exchange;
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
  readonly tradeHistory?: TradeHistoryOptions | undefined;
  /** The clock of a recording; without it ours. */
  readonly now?: () => Micros;
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
  const { config, adapter, onRefused } = options;
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
  const logs = createLogSink({ exchange, metrics });
  const logger = config.log.toDatabase ? teeLogger(options.logger, logs.write) : options.logger;
  const health = createHealth({ exchange, version, metrics, logger });
  const writer = clientConfig(database, `hyperfeed-${exchange}`);
  const ownerConfig = database.ownerUrl
    ? clientConfig({ ...database, url: database.ownerUrl }, `hyperfeed-${exchange}-owner`)
    : undefined;
  const symbols = createSymbolsWriter(exchange, logger);
  const spool = await openSpool({ exchange, config: spoolConfig, metrics, logger });
  logs.attach(spool);
  const recorder = createRecorder({ spool, config: spoolConfig, metrics, logger });
  // The ids of a recording say nothing of what is stored.
  const gaps =
    adapter.channels.trades === 'ids' && !options.source
      ? createGapLedger({
          exchange,
          refillable: tradesById(adapter) !== undefined,
          spool,
          metrics,
          logger,
        })
      : undefined;
  let engine: Engine | undefined;
  const schemaReady = Promise.withResolvers<void>();
  const store = createStore({
    exchange,
    spool,
    symbols,
    gaps,
    config: database,
    async prepare(signal) {
      const migrations = database.migrate;
      engine = await prepareSchema({
        clientConfig: writer,
        ownerConfig,
        logger,
        signal,
        migrations,
      });
      metrics.info.set({ version, engine: engine.edition }, 1);
      schemaReady.resolve();
    },
    onRefused,
    metrics,
    logger,
  });
  const keys = createKeyspace(redis.keyPrefix);
  const latest = redis.enabled
    ? createLatest({ redis, keys, metrics, logger, metricValues })
    : undefined;
  const mirror =
    redis.enabled && config.mirror.enabled
      ? createMirror({
          database,
          redis,
          keys: createMirrored(keys),
          schemaReady: schemaReady.promise,
          applicationName: `hyperfeed-${exchange}-mirror`,
          metrics,
          logger,
        })
      : undefined;
  const retention = config.retention.enabled
    ? createRetention({
        clientConfig: ownerConfig ?? writer,
        rules: retentionRules(config.retention),
        compressAfter: compressAfter(config.storage),
        schemaReady: schemaReady.promise,
        metrics,
        logger,
      })
    : undefined;
  const onMarkets = (list: readonly Instrument[], complete: boolean) => symbols.set(list, complete);
  const feeder: Feeder =
    options.source?.({ metrics, onMarkets, accepted }) ??
    openExchange({ exchange: adapter, config, onMarkets, now, metrics, logger });
  const { source, plan, tradeHistory } = feeder;
  for (const channel of config.channels) {
    const provenance = adapter.channels[channel];
    if (provenance) metrics.provenance.set({ channel, provenance }, 1);
  }
  const feed = createFeed({
    source,
    plan,
    contiguousTradeIds: adapter.channels.trades === 'ids',
    repair:
      gaps &&
      tradeHistory &&
      createRepair({ ...tradeHistory, gaps, config: config.backfill, logger }),
    snapshotIntervalMs: config.orderBook.snapshotIntervalMs,
    latest: (event: MarketEvent) => latest?.push(event),
    record: (event: MarketEvent) => recorder.push(event),
    now: feeder.now ?? now,
    metrics,
    logger,
  });
  const server = http.enabled ? createHttpServer({ health, metrics, logger, ...http }) : undefined;

  async function accepted(): Promise<void> {
    recorder.flush();
    await spool.flush(new AbortController().signal);
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

  if (gaps) health.register('gaps', () => gaps.report());
  if (latest) health.register('redis', () => latest.report());
  if (mirror) health.register('mirror', () => mirror.report());
  if (retention) health.register('retention', () => retention.report());
  health.register(
    'feed',
    createFeedReport(() => source.status()),
  );
  health.register('store', () => {
    const report = storeReport(store.status(), spool.status());
    // A scrape asks for the reports first.
    metrics.spoolOldestAge.set(report.status.lagMs / 1000);
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
      logs.close();
      await spool.flush(deadline);
    },
  };
  const services = [server, files, latest, mirror, retention, store, recording, feed].filter(
    (s) => s !== undefined,
  );
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
