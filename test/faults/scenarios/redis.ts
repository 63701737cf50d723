/** Redis is killed, comes back empty, answers nothing. Rows do not wait for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Flow } from '../flow.ts';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

const MIB = 1024 * 1024;

function client({ redis, world }: Flow): Redis {
  if (!redis) throw new Error('the scenario has no Redis');
  const reader = new Redis(redis.url, { retryStrategy: () => 50, commandTimeout: 1_000 });
  reader.on('error', () => undefined);
  world.defer(() => reader.disconnect());
  return reader;
}

/** Looks at a key ten times a second; its time must not go back but for a Redis that was emptied. */
function watchTimes(reader: Redis, { symbols, world }: Flow) {
  const newest = new Map<string, number>();
  const backwards: string[] = [];
  let over = false;
  const watching = (async () => {
    while (!over) {
      for (const symbol of symbols) {
        const text = await reader.hget(`price:binance:${symbol}`, 'timestamp').catch(() => null);
        const time = Number(text ?? 0);
        const before = newest.get(symbol) ?? 0;
        if (time > 0 && time < before) backwards.push(`${symbol}: ${before} -> ${time}`);
        newest.set(symbol, Math.max(time, before));
      }
      await sleep(100);
    }
  })();
  const stop = async () => {
    over = true;
    await watching;
    return backwards;
  };
  world.defer(stop);
  return stop;
}

/** What is stored last is what Redis must say. */
async function expectNewest(flow: Flow, reader: Redis): Promise<void> {
  await flow.exchange.setRate(0);
  const emitted = await flow.exchange.emitted();
  await until(
    'all trades to be stored',
    async () => Number(await flow.query('SELECT count(*) FROM trades')) >= emitted,
    { everyMs: 100 },
  );
  for (const symbol of flow.symbols) {
    const wanted = await flow.query(
      `SELECT price, quantity, (extract(epoch FROM time) * 1000)::bigint FROM trades
        WHERE symbol = '${symbol}' ORDER BY trade_id::numeric DESC LIMIT 1`,
    );
    await until(
      `the newest price of ${symbol}`,
      async () => {
        const fields = await reader
          .hmget(`price:binance:${symbol}`, 'price', 'volume', 'timestamp')
          .catch(() => []);
        return fields.join('|') === wanted;
      },
      { timeoutMs: 10_000 },
    );
  }
  await flow.exchange.setRate(flow.rate);
}

export const redisScenarios: readonly Scenario[] = [
  {
    name: 'redis',
    what: 'Redis is frozen (SIGSTOP), killed, started empty, restarted again and again',
    short: true,
    faults: (size) => ({ freeze: 1, 'redis killed': size === 'short' ? 2 : 20 }),
    flow: {
      redis: true,
      channels: ['trades', 'order_book'],
      rate: 1_000,
      limits: { rssBytes: 300 * MIB },
    },
    withoutRefill: true,
    async run(flow, size) {
      await flow.begin();
      const reader = client(flow);
      await expectNewest(flow, reader);
      const stopWatching = watchTimes(reader, flow);
      flow.redis?.pause();
      await sleep(size === 'short' ? 4_000 : 15_000);
      flow.world.happened('freeze');
      await flow.flowing();
      flow.redis?.resume();
      await expectNewest(flow, reader);
      const backwards = await stopWatching();
      if (backwards.length > 0) throw new Error(`stale values came back: ${backwards.join(', ')}`);
      for (let kill = 0; kill < flow.world.planned('redis killed'); kill++) {
        await flow.redis?.kill();
        flow.world.happened('redis killed');
        await flow.flowing();
        await flow.redis?.restart();
        await expectNewest(flow, reader);
      }
    },
  },
];
