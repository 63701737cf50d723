/** What symbols cost: ten and a thousand of them, with books, at one total rate. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon, UNLIMITED } from './daemon.ts';
import { startExchange } from './exchange.ts';
import {
  type Bench,
  type BenchContext,
  compare,
  finding,
  quantile,
  type Sample,
} from './harness.ts';
import { symbolsOf } from './rows.ts';

const TRADES_PER_SECOND = 10_000;
const BOOKS_PER_SECOND = 200;

export const bench: Bench = {
  name: 'symbols',
  about: 'ten symbols and a thousand, at one total rate',
  async *run(context) {
    const many = context.quick ? 100 : 1_000;
    const bytes: { few: number[]; many: number[] } = { few: [], many: [] };
    const rounds = Math.min(context.rounds, 3);
    yield await compare(
      { ...context, rounds },
      {
        what: `${many} symbols: CPU a trade`,
        unit: 'node µs',
        limitName: '10 symbols',
        goal: '<= 1.3',
        async ours() {
          const { cpu, memory } = await run(context, many);
          bytes.many.push(memory);
          return cpu;
        },
        async limit() {
          const { cpu, memory } = await run(context, 10);
          bytes.few.push(memory);
          return cpu;
        },
      },
    );
    const few = quantile(bytes.few, 0.5);
    yield finding({
      what: 'memory a symbol, 100 levels a side kept, 20 published',
      unit: 'kB',
      goal: '<= 100',
      ours: bytes.many.map((all) => ({ value: (all - few) / (many - 10) / 1000 })),
    });
  },
};

async function run(
  context: BenchContext,
  count: number,
): Promise<{ readonly cpu: Sample; readonly memory: number }> {
  const servers = await context.servers();
  const { connectionString } = await servers.database('bench_symbols');
  const exchange = await startExchange({
    symbols: symbolsOf(count),
    tradesPerSecond: TRADES_PER_SECOND,
    depthIntervalMs: (count * 1000) / BOOKS_PER_SECOND,
    klineIntervalMs: 60_000,
  });
  const daemon = await startDaemon(
    {
      ...exchange.settings,
      channels: ['trades', 'order_book'],
      'database.url': connectionString,
      'redis.url': servers.redisUrl,
      'spool.directory': await context.folder('spool'),
    },
    UNLIMITED,
  );
  try {
    while ((await daemon.metrics()).value('order_books_in_sync') < count) await sleep(100);
    await sleep(context.quick ? 1_000 : 5_000);
    const events = async () => (await daemon.metrics()).value('events_total', 'type="trade"');
    const before = { cpu: daemon.cpu(), trades: await events() };
    const memory: number[] = [];
    for (let second = 0; second < (context.quick ? 3 : 15); second++) {
      await sleep(1_000);
      memory.push(daemon.memory());
    }
    const trades = (await events()) - before.trades;
    return {
      cpu: { value: (daemon.cpu() - before.cpu) / trades },
      memory: quantile(memory, 0.5),
    };
  } finally {
    await daemon.stop();
    await exchange.stop();
  }
}
