/** From `hyperfeed run` to the first row, and what a daemon costs to which little comes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon } from './daemon.ts';
import { startExchange } from './exchange.ts';
import { type Bench, type BenchContext, measure, type Sample } from './harness.ts';
import { symbolsOf } from './rows.ts';
import { connected } from './servers.ts';

export const bench: Bench = {
  name: 'start',
  about: 'the first row, and idle',
  async *run(context) {
    yield await measure(context, {
      what: '`run` to the first row',
      unit: 's',
      goal: '<= 1.5',
      ours: () => firstRow(context),
    });
    yield await measure(
      { ...context, rounds: 1 },
      {
        what: '200 quiet symbols: CPU',
        unit: '% of a core',
        goal: '<= 1',
        ours: () => idle(context),
      },
    );
  },
};

async function firstRow(context: BenchContext): Promise<Sample> {
  const servers = await context.servers();
  const { connectionString } = await servers.database('bench_start');
  const database = await connected({ connectionString });
  const exchange = await startExchange({ symbols: symbolsOf(5), tradesPerSecond: 500 });
  const startedAt = performance.now();
  const starting = startDaemon({
    ...exchange.settings,
    'database.url': connectionString,
    'redis.url': servers.redisUrl,
    'spool.directory': await context.folder('spool'),
  });
  try {
    const first = async () => (await database.query('SELECT FROM trades LIMIT 1')).rowCount;
    while ((await first()) === 0) await sleep(5);
    return { value: (performance.now() - startedAt) / 1000 };
  } finally {
    await (await starting).stop();
    await exchange.stop();
    await database.end();
  }
}

/** A trade of each symbol in ten seconds, and a change of its book in five. */
async function idle(context: BenchContext): Promise<Sample> {
  const servers = await context.servers();
  const { connectionString } = await servers.database('bench_idle');
  const exchange = await startExchange({
    symbols: symbolsOf(200),
    tradesPerSecond: 20,
    depthIntervalMs: 5_000,
    klineIntervalMs: 10_000,
  });
  const daemon = await startDaemon({
    ...exchange.settings,
    'database.url': connectionString,
    'redis.url': servers.redisUrl,
    'spool.directory': await context.folder('spool'),
  });
  try {
    const seconds = context.quick ? 5 : 30;
    await sleep(seconds * 1_000);
    const cpu = daemon.cpu();
    await sleep(seconds * 1_000);
    return { value: (daemon.cpu() - cpu) / seconds / 1e4 };
  } finally {
    await daemon.stop();
    await exchange.stop();
  }
}
