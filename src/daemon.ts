/** Composition root: builds the parts from the configuration, in the order in which they start. */
import type { AddressInfo } from 'node:net';
import type { Config } from './config.ts';
import { UsageError } from './errors.ts';
import { warnOfExposed } from './exposed-links.ts';
import { createHealth } from './health.ts';
import { createHttpServer } from './http-server.ts';
import type { Channel, Instrument, MarketEvent, Micros } from './ingest/events.ts';
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
import { createStatusPage } from './status-page/status-page.ts';
import { version } from './version.ts';
import { openLanes } from './writers/lanes.ts';
import { createLatest } from './writers/latest.ts';
import { createMirror } from './writers/mirror.ts';
import { createLogSink } from './writers/log-sink.ts';
import { clientConfig } from './writers/pg.ts';
import type { Role } from './writers/store-role.ts';
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
  const { database, http, redis } = config;
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
  warnOfExposed(config, logger);
  const health = createHealth({ exchange, version, metrics, logger });
  const writer = clientConfig(database, `hyperfeed-${exchange}`);
  const ownerConfig = database.ownerUrl
    ? clientConfig({ ...database, url: database.ownerUrl }, `hyperfeed-${exchange}-owner`)
    : undefined;
  const symbols = createSymbolsWriter(exchange, logger);
  let engine: Engine | undefined;
  const schemaReady = Promise.withResolvers<void>();
  const lanes = await openLanes({
    exchange,
    symbols,
    // The ids of a recording say nothing of what is stored.
    gaps:
      adapter.channels.trades === 'ids' && !options.source
        ? { refillable: tradesById(adapter) !== undefined }
        : undefined,
    // A recording is not streamed in turns.
    exclusive: config.standby.enabled && !options.source,
    onRole,
    // A recording is of another time.
    timed: options.source
      ? undefined
      : {
          channels: channelsByTime(config, adapter),
          symbols: config.symbols,
          storedBefore: (...stored) => feed.storedBefore(...stored),
        },
    config,
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
  const { gaps } = lanes;
  logs.attach(lanes.spool);
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
  const statusPage =
    http.enabled && http.statusPage
      ? createStatusPage({
          symbols: config.symbols,
          health,
          streams: () => source.status().streams,
          openGaps: () => gaps?.open() ?? [],
          metrics,
          logger,
        })
      : undefined;
  const feed = createFeed({
    source,
    plan,
    contiguousTradeIds: adapter.channels.trades === 'ids',
    repair:
      gaps &&
      tradeHistory &&
      createRepair({ ...tradeHistory, gaps: whenActive(gaps), config: config.backfill, logger }),
    snapshotIntervalMs: config.orderBook.snapshotIntervalMs,
    latest(event: MarketEvent) {
      latest?.push(event);
      statusPage?.seen(event);
    },
    record(event: MarketEvent) {
      lanes.push(event);
      statusPage?.recorded(event);
    },
    // The active one follows while we are on standby; the gaps of a recording are its own.
    recordOutage(outage) {
      if (!options.source && lanes.role() !== 'standby') lanes.recordGap(outage);
    },
    now: feeder.now ?? now,
    metrics,
    logger,
  });
  const server = http.enabled
    ? createHttpServer({ health, metrics, logger, ...http, pages: statusPage })
    : undefined;

  /** Redis is the active one's to write; what it missed meanwhile is for the new one to look for. */
  function onRole(role: Role): void {
    if (role === 'standby') latest?.pause();
    else latest?.resume();
    if (role === 'active') feed.recheck();
  }

  /** The other daemon repairs meanwhile. */
  function whenActive(ledger: NonNullable<typeof gaps>): NonNullable<typeof gaps> {
    const isOurs = () => lanes.role() === 'active';
    return {
      ...ledger,
      open: () => (isOurs() ? ledger.open() : []),
      cursor: (symbol) => (isOurs() ? ledger.cursor(symbol) : undefined),
    };
  }

  async function accepted(): Promise<void> {
    await lanes.flush(new AbortController().signal);
  }

  function metricValues() {
    const { connections, streams } = source.status();
    const values = {
      connections_open: connections.open,
      streams_live: streams.filter((stream) => stream.state === 'live').length,
      spool_bytes: lanes.report().status.spool.bytes,
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
    const report = lanes.report();
    // A scrape asks for the reports first.
    metrics.spoolOldestAge.set(report.status.lagMs / 1000);
    return { ...report, status: { ...report.status, engine } };
  });

  /** The last to stop but for the server: everything that was appended is on disk by then. */
  const files: Service = {
    name: 'spool',
    start: async () => undefined,
    stop: () => lanes.close(),
  };
  const recording: Service = {
    name: 'recorder',
    start: async () => undefined,
    async stop(deadline) {
      logs.close();
      await lanes.flush(deadline);
    },
  };
  const services = [server, files, latest, mirror, retention, lanes.stores, recording, feed].filter(
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
    isDrained: () => lanes.isEmpty(),
  };
}

/** Channels of which the newest row alone tells what is missing since. */
function channelsByTime({ channels }: Config, { channels: offered }: Exchange): Channel[] {
  return channels.filter((channel) => offered[channel] !== undefined && offered[channel] !== 'ids');
}
