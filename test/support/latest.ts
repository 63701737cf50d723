/** A Redis sink with its metrics and its log at hand, and events for it. */
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { configSchema } from '../../src/config.ts';
import type { Config } from '../../src/config.ts';
import type { OrderBookSnapshot, Trade } from '../../src/ingest/events.ts';
import { createLogger } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics.ts';
import type { Metrics } from '../../src/metrics.ts';
import { createKeyspace } from '../../src/schema/keyspace.ts';
import { createLatest } from '../../src/writers/latest.ts';
import type { Latest, LatestOptions } from '../../src/writers/latest.ts';

export interface LatestUnderTest {
  readonly latest: Latest;
  readonly metrics: Metrics;
  /** Lines of the log. */
  readonly log: string[];
  stop(): Promise<void>;
}

export async function startLatest(
  redis: Partial<Config['redis']>,
  metricValues?: LatestOptions['metricValues'],
): Promise<LatestUnderTest> {
  const settings = configSchema.parse({ redis }).redis;
  const metrics = createMetrics('binance');
  const log: string[] = [];
  const destination = { write: (line: string) => void log.push(line) };
  const latest = createLatest({
    redis: settings,
    keys: createKeyspace(settings.keyPrefix),
    metrics,
    logger: createLogger({ level: 'debug', destination }),
    ...(metricValues ? { metricValues } : {}),
  });
  const stop = () => latest.stop(AbortSignal.timeout(2_000));
  onTestFinished(stop);
  await latest.start(AbortSignal.timeout(10_000));
  return { latest, metrics, log, stop };
}

export function redisClient(url: string): Redis {
  const client = new Redis(url, { retryStrategy: () => 20 });
  // What matters is what a command says.
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

export async function metricValue(
  metric: Metrics['redisCoalesced'] | Metrics['redisUpdates'],
): Promise<number> {
  const { values } = await metric.get();
  return values.reduce((sum, { value }) => sum + value, 0);
}

/** The `n`th trade of a symbol: its time and price say which. */
export function tradeOf(symbol: string, n: number): Trade {
  const time = 1_760_000_000_000_000 + n * 1_500;
  return {
    type: 'trade',
    exchange: 'binance',
    symbol,
    time,
    receivedAt: time + 5_000,
    tradeId: String(n),
    side: 'buy',
    price: `${1000 + n}.10000000`,
    quantity: '0.00100000',
  };
}

/** The `n`th trade and book of each. */
export function pushRound(latest: Latest, symbols: readonly string[], n: number): void {
  for (const symbol of symbols) {
    latest.push(tradeOf(symbol, n));
    latest.push(bookOf(symbol, n));
  }
}

export function bookOf(symbol: string, n: number, depth = 20): OrderBookSnapshot {
  const { exchange, time, receivedAt } = tradeOf(symbol, n);
  const levels = (step: number) =>
    Array.from(
      { length: depth },
      (_, i) => [`${1000 + n + step * i}.10`, `${i}.50000000`] as const,
    );
  return {
    type: 'order_book',
    exchange,
    symbol,
    time,
    receivedAt,
    bids: levels(-1),
    asks: levels(1),
  };
}
