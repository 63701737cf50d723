/**
 * Sink: the latest price and order book of each symbol, in Redis.
 *
 * One pipeline is in flight at a time; the next, of what became dirty meanwhile, leaves when it
 * returns. So a slow Redis gets fewer and newer values, and a dead one none.
 *
 * A connection that comes up finds Redis as it was long ago, or empty: all keys are written again.
 */
import type { Config } from '../config.ts';
import { UsageError } from '../errors.ts';
import type { PartReport, Reason } from '../health.ts';
import type { MarketEvent } from '../ingest/events.ts';
import type { Service } from '../lifecycle.ts';
import { createRateLimitedLogger } from '../log.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { createConflation } from './conflation.ts';
import type { Taken } from './conflation.ts';
import { fieldsOf } from './latest-value.ts';
import type { LatestValue } from './latest-value.ts';
import { createRedis } from './redis.ts';
import type { EventSink } from './sink.ts';

export interface LatestOptions {
  readonly redis: Config['redis'];
  /** Names of the keys, prefix included. */
  readonly keys: {
    price(exchange: string, symbol: string): string;
    orderBook(exchange: string, symbol: string): string;
    metric(component: string, name: string): string;
  };
  /** Asked every 5 s. */
  readonly metricValues?: () => readonly {
    readonly component: string;
    readonly name: string;
    readonly value: number;
  }[];
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface Latest extends EventSink, Service {
  report(): PartReport;
}

const MAX_KEYS = 500;
const PIPELINE_TIMEOUT_MS = 1_500;
const RETRY_MS = 1_000;
const SETTLE_MS = 1_000;
const METRICS_EVERY_MS = 5_000;
const FAILING_AFTER_MS = 10_000;
const LAST_FLUSH_MS = 500;

export function createLatest(options: LatestOptions): Latest {
  const { keys, metrics, metricValues } = options;
  const { url, expireAfterMs, publish } = options.redis;
  if (url === undefined) {
    throw new UsageError('config_invalid', 'redis.url is not set (or set redis.enabled to false)');
  }
  const logger = createRateLimitedLogger(options.logger);
  const values = createConflation();
  const redis = createRedis({ url, logger, onReady, onLost });
  let flushing: Promise<void> | undefined;
  let lostAt: number | undefined = performance.now();
  let retryTimer: NodeJS.Timeout | undefined;
  let settleTimer: NodeJS.Timeout | undefined;
  let metricsTimer: NodeJS.Timeout | undefined;

  function onReady(): void {
    lostAt = undefined;
    metrics.redisUp.set(1);
    retry();
    rewriteAll();
    // And again: what a frozen Redis still has in its socket buffers runs when it wakes up, maybe
    // after what it gets now.
    settleTimer = setTimeout(rewriteAll, SETTLE_MS);
  }

  function onLost(): void {
    lostAt = performance.now();
    metrics.redisUp.set(0);
    clearTimeout(settleTimer);
  }

  function push(event: MarketEvent): void {
    if (event.type === 'trade') accept(keys.price(event.exchange, event.symbol), event);
    if (event.type === 'order_book') accept(keys.orderBook(event.exchange, event.symbol), event);
  }

  function accept(key: string, value: LatestValue): void {
    const outcome = values.accept(key, value, performance.now());
    if (outcome === 'replaced') metrics.redisCoalesced.inc();
    if (outcome === 'outdated') metrics.redisOutdated.inc();
    wake();
  }

  function rewriteAll(): void {
    values.soilAll(performance.now());
    wake();
  }

  function retry(): void {
    clearTimeout(retryTimer);
    retryTimer = undefined;
    values.release();
    wake();
  }

  /** Once the frames that are being read are through: a burst of them makes one pipeline. */
  function wake(): void {
    if (flushing || !values.hasDirty() || !redis.isReady()) return;
    flushing = new Promise<void>((resolve) => setImmediate(resolve)).then(flush);
  }

  async function flush(): Promise<void> {
    while (values.hasDirty() && redis.isReady()) await writeSome();
    flushing = undefined;
  }

  async function writeSome(): Promise<void> {
    const startedAt = performance.now();
    const { pipeline, written } = buildPipeline(values.take(MAX_KEYS), startedAt);
    const timer = setTimeout(() => {
      logger.warn({ timeoutMs: PIPELINE_TIMEOUT_MS }, 'redis does not answer');
      redis.reset();
    }, PIPELINE_TIMEOUT_MS);
    // Never rejects: each command has its own error, also when the connection is lost.
    const replies = (await pipeline.exec()) ?? [];
    clearTimeout(timer);

    const failed: Taken[] = [];
    let failure: Error | null = null;
    let position = 0;
    for (const { taken, commands } of written) {
      const errors = replies.slice(position, position + commands).map(([error]) => error);
      const error = errors.find((one) => one !== null) ?? null;
      position += commands;
      if (error) failed.push(taken);
      else metrics.redisUpdates.inc({ kind: taken.value.type });
      failure ??= error;
    }
    metrics.redisCoalesced.inc(values.settle(failed));
    if (failure) {
      metrics.redisErrors.inc();
      // A lost connection has been told of already.
      if (redis.isReady())
        logger.warn({ err: failure, keys: failed.length }, 'redis refused writes');
      // Not at once: the key may be of another type, or the memory of Redis full.
      retryTimer ??= setTimeout(retry, RETRY_MS).unref();
    } else {
      metrics.redisFlush.observe((performance.now() - startedAt) / 1000);
    }
  }

  function buildPipeline(batch: readonly Taken[], now: number) {
    const pipeline = redis.client.pipeline();
    const written: { readonly taken: Taken; readonly commands: number }[] = [];
    for (const taken of batch) {
      const { key, value, acceptedAt, fresh } = taken;
      const lifetimeMs = Math.floor(expireAfterMs - (now - acceptedAt));
      // Its time is over; a new connection must not bring it back.
      if (expireAfterMs > 0 && lifetimeMs <= 0) continue;
      const before = pipeline.length;
      const fields = fieldsOf(value);
      pipeline.hset(key, fields);
      if (expireAfterMs > 0) pipeline.pexpire(key, lifetimeMs);
      if (publish && fresh) pipeline.publish(key, JSON.stringify(fields));
      written.push({ taken, commands: pipeline.length - before });
    }
    return { pipeline, written };
  }

  function sample(): void {
    const time = Date.now() * 1000;
    for (const { component, name, value } of metricValues?.() ?? []) {
      // Not measured yet, such as the mean of nothing.
      if (!Number.isFinite(value)) continue;
      accept(keys.metric(component, name), { type: 'metric', time, value });
    }
  }

  return {
    name: 'redis',
    push,
    async start() {
      redis.connect();
      metricsTimer = setInterval(sample, METRICS_EVERY_MS);
    },
    async stop(deadline) {
      clearInterval(metricsTimer);
      clearTimeout(settleTimer);
      clearTimeout(retryTimer);
      wake();
      const patience = AbortSignal.any([deadline, AbortSignal.timeout(LAST_FLUSH_MS)]);
      const givenUp = Promise.withResolvers<void>();
      patience.addEventListener('abort', () => givenUp.resolve());
      if (!patience.aborted) await Promise.race([flushing, givenUp.promise]);
      const unwritten = values.unwritten();
      if (unwritten > 0) options.logger.warn({ keys: unwritten }, 'latest values not written');
      redis.disconnect();
    },
    report() {
      const now = performance.now();
      const lag = now - values.oldestSince(now);
      // Whoever asks for the metrics asks for the report first.
      metrics.redisOldestDirty.set(lag / 1000);
      const reasons: Reason[] = [];
      if (lostAt !== undefined) {
        const detail = `no connection for ${seconds(now - lostAt)} s`;
        reasons.push({ code: 'redis_down', severity: 'degraded', detail });
      }
      if (lag > FAILING_AFTER_MS) {
        const detail = `the oldest update that waits is ${seconds(lag)} s old`;
        reasons.push({ code: 'redis_lag', severity: 'failing', detail });
      }
      const status = {
        connected: lostAt === undefined,
        keys: values.keys(),
        unwritten: values.unwritten(),
        oldestSeconds: seconds(lag),
      };
      return { ready: true, reasons, status };
    },
  };
}

function seconds(ms: number): number {
  return Math.round(ms / 1000);
}
