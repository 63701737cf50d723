/**
 * Latest values: updates a second against the same commands as raw text of the protocol; and the time
 * from a tick to its key, at a steady rate.
 */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { configSchema } from '../src/config.ts';
import type { Trade } from '../src/ingest/events.ts';
import { createMetrics } from '../src/metrics.ts';
import { createKeyspace } from '../src/schema/keyspace.ts';
import { createLatest, type Latest } from '../src/writers/latest.ts';
import { type Bench, type BenchContext, compare, finding, quantile, rateOf } from './harness.ts';
import { clock, type Tick, watchKeys } from './key-watch.ts';
import { logger, until } from './parts.ts';
import { EXCHANGE, START, symbolsOf, tradesOf } from './rows.ts';
import { openRaw } from './redis-raw.ts';

const KEYS = createKeyspace();
/** Each ticks once a second, so that a write tells which tick it is of. */
const PROBES = 500;
/** Frames of a socket that are read in one turn of the event loop. */
const TURN = 500;

const GOALS = new Map([
  [20_000, '<= 2'],
  [100_000, '<= 10'],
] as const);

export const bench: Bench = {
  name: 'redis',
  about: 'latest values: throughput and latency',
  async *run(context) {
    const { redisUrl } = await context.servers();
    yield await throughput(context, redisUrl);
    for (const rate of [5_000, 20_000, 50_000, 100_000] as const) {
      const samples = [];
      for (let round = 1; round <= Math.min(3, context.rounds); round++) {
        context.progress(`tick to key at ${rate} ticks/s: ${round}`);
        samples.push(await latencies(redisUrl, rate, context.quick ? 2 : 5));
      }
      const goal = GOALS.get(rate as 20_000);
      yield finding({
        what: `tick to key at ${rate.toLocaleString('en-US')} ticks/s, p99`,
        unit: 'ms',
        ...(goal && { goal }),
        ours: samples,
      });
    }
  },
};

async function throughput(context: BenchContext, redisUrl: string) {
  const symbols = symbolsOf(20_000);
  const cycles = context.quick ? 2 : 10;
  const count = cycles * symbols.length;
  const cyclesOf = Array.from({ length: cycles }, (_, i) =>
    tradesOf(symbols.length, { symbols, first: i * symbols.length }),
  );
  return compare(context, {
    what: 'latest prices, one HASH each',
    unit: 'updates/s',
    limitName: 'raw protocol text',
    goal: '>= 0.7',
    async ours() {
      const latest = await startLatest(redisUrl);
      const sample = await rateOf(count, async () => {
        for (const trades of cyclesOf) {
          for (let at = 0; at < trades.length; at += TURN) {
            for (const trade of trades.slice(at, at + TURN)) latest.push(trade);
            // Else not one could leave before the last of them is there, which no socket does.
            await setImmediate();
          }
          while (Number(latest.report().status?.['unwritten']) > 0) await sleep(1);
        }
      });
      await latest.stop(AbortSignal.timeout(1_000));
      return sample;
    },
    async limit() {
      const raw = await openRaw(redisUrl);
      const sample = await rateOf(count, async () => {
        for (const trades of cyclesOf) {
          for (let at = 0; at < trades.length; at += 500) {
            await raw.send(trades.slice(at, at + 500).map(commandOf));
          }
        }
      });
      raw.close();
      return sample;
    },
  });
}

function commandOf({ symbol, price, quantity, time }: Trade): string[] {
  const timestamp = String(Math.floor(time / 1000));
  const key = KEYS.price(EXCHANGE, symbol);
  return ['HSET', key, 'price', price, 'timestamp', timestamp, 'volume', quantity];
}

async function startLatest(redisUrl: string): Promise<Latest> {
  const { redis } = configSchema.parse({ redis: { url: redisUrl } });
  const latest = createLatest({ redis, keys: KEYS, metrics: createMetrics(EXCHANGE), logger });
  await latest.start(new AbortController().signal);
  await until(() => latest.report().status?.['connected'] === true, 'Redis');
  return latest;
}

/** Milliseconds; p99, with p50 beside it. */
async function latencies(redisUrl: string, rate: number, seconds: number) {
  await flush(redisUrl);
  const probes = symbolsOf(PROBES).map((symbol) => `P${symbol}`);
  const trades = tradesOf(rate * seconds, { symbols: symbolsOf(200) });
  const every = Math.floor(rate / PROBES);
  const sent: Tick[] = [];
  const latest = await startLatest(redisUrl);
  // A new connection writes all keys once more, a second later.
  await sleep(1_200);
  const watched = await watchKeys(
    redisUrl,
    probes.map((symbol) => KEYS.price(EXCHANGE, symbol)),
  );
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  for (let next = 0; next < trades.length;) {
    const due = Math.min(
      trades.length,
      Math.floor((performance.now() - startedAt) * (rate / 1000)),
    );
    for (; next < due; next++) {
      const trade = trades[next]!;
      if (next % every !== 0) {
        latest.push(trade);
        continue;
      }
      const symbol = probes[sent.length % PROBES]!;
      const timestamp = START / 1000 + next;
      sent.push({ key: KEYS.price(EXCHANGE, symbol), at: clock(), timestamp });
      latest.push({ ...trade, symbol, time: timestamp * 1000 });
    }
    // As sockets do, the next ticks come with another turn of the event loop.
    await (due === trades.length ? setImmediate() : sleep(1));
  }
  const { user, system } = process.cpuUsage(cpu);
  await until(() => latest.report().status?.['unwritten'] === 0, 'every key to be written');
  await sleep(50);
  const taken = await watched(sent);
  await latest.stop(AbortSignal.timeout(1_000));

  return {
    value: quantile(taken, 0.99),
    details: { 'p50 ms': quantile(taken, 0.5), 'node µs a tick': (user + system) / trades.length },
  };
}

async function flush(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl);
  await redis.flushdb();
  redis.disconnect();
}
