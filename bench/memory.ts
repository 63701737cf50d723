/** Resident memory with two hundred symbols and their books at full rate, and that it does not grow. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon, UNLIMITED } from './daemon.ts';
import { startExchange } from './exchange.ts';
import { type Bench, finding, quantile } from './harness.ts';
import { symbolsOf } from './rows.ts';

const SYMBOLS = 200;
const TRADES_PER_SECOND = 10_000;
/** Memory is taken from the system as it is needed first: what comes after is growth. */
const SETTLING = 0.4;

export const bench: Bench = {
  name: 'memory',
  about: 'resident memory at full rate',
  async *run(context) {
    const servers = await context.servers();
    const { connectionString } = await servers.database('bench_memory');
    const exchange = await startExchange({
      symbols: symbolsOf(SYMBOLS),
      tradesPerSecond: TRADES_PER_SECOND,
    });
    const daemon = await startDaemon(
      {
        ...exchange.settings,
        'database.url': connectionString,
        'redis.url': servers.redisUrl,
        'spool.directory': await context.folder('spool'),
      },
      UNLIMITED,
    );
    const seconds = context.quick ? 10 : context.large ? 3_600 : 120;
    const samples: number[] = [];
    try {
      for (let second = 0; second < seconds; second++) {
        context.progress(`memory: ${second} of ${seconds} s`);
        await sleep(1_000);
        samples.push(daemon.memory() / 1e6);
      }
    } finally {
      await daemon.stop();
      await exchange.stop();
    }
    const steady = samples.slice(Math.floor(samples.length * SETTLING));
    const what = `${SYMBOLS} symbols with books, ${TRADES_PER_SECOND.toLocaleString('en-US')} trades/s`;
    yield finding({
      what: `${what}: resident`,
      unit: 'MB',
      goal: '<= 150',
      ours: [{ value: Math.max(...steady) }],
    });
    const part = Math.ceil(steady.length / 3);
    yield finding({
      what: `the same after ${seconds} s`,
      unit: 'MB',
      goal: '<= 1.05',
      ours: [{ value: quantile(steady.slice(-part), 0.5) }],
      limitName: `after ${Math.round(seconds * SETTLING)} s`,
      limits: [{ value: quantile(steady.slice(0, part), 0.5) }],
    });
  },
};
