/** Random faults of all kinds for as long as one likes: `npm run test:faults -- --soak 60`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { usedBy } from '../bounds.ts';
import type { Flow } from '../flow.ts';
import type { Scenario } from '../scenario.ts';

type Fault = (flow: Flow) => Promise<void>;

const FAULTS: Readonly<Record<string, Fault>> = {
  async 'kill -9'(flow) {
    await flow.daemon().kill();
    flow.startDaemon();
    await flow.listened();
  },
  async 'postgres crash'(flow) {
    await flow.postgres.stop('immediate');
    await sleep(flow.world.random() * 5_000);
    await flow.postgres.restart();
  },
  async 'postgres link reset'(flow) {
    flow.links.database?.reset();
  },
  async 'postgres link stalled'(flow) {
    flow.links.database?.stall();
    await sleep(flow.world.random() * 12_000);
    flow.links.database?.resume();
  },
  async 'answer lost'(flow) {
    await flow.links.database?.loseAnswer('COMMIT');
  },
  async 'socket cut'(flow) {
    await flow.exchange.control('dropConnections');
    await flow.listened();
  },
  async 'trade skipped'(flow) {
    await flow.exchange.control('skipNextTrades', flow.world.pick(flow.symbols), 100);
  },
  async 'request refused'(flow) {
    await flow.exchange.control('failRequests', 20, flow.world.pick([429, 500, 503]), 1);
  },
  async freeze(flow) {
    flow.daemon().signal('SIGSTOP');
    await sleep(flow.world.random() * 10_000);
    flow.daemon().signal('SIGCONT');
  },
  async 'redis killed'(flow) {
    await flow.redis?.kill();
    await sleep(flow.world.random() * 3_000);
    await flow.redis?.restart();
  },
};

const MIB = 1024 * 1024;
/** A life that is left alone at the end shows what an hour would cost. */
const MAX_GROWTH_BYTES = 64 * MIB;

export function soak(minutes: number): Scenario {
  return {
    name: 'soak',
    what: `random faults of all kinds for ${minutes} minutes`,
    faults: () => ({}),
    flow: {
      rate: 1_000,
      redis: true,
      channels: ['trades', 'candles', 'order_book'],
      links: ['database'],
      settings: { 'database.copyTimeoutMs': 5_000, 'database.statementTimeoutMs': 5_000 },
    },
    async run(flow) {
      await flow.begin();
      const until = performance.now() + minutes * 60_000;
      while (performance.now() < until) {
        const name = flow.world.pick(Object.keys(FAULTS));
        await FAULTS[name]?.(flow);
        flow.world.happened(name);
        await flow.flowing(90_000);
        await sleep(flow.world.random() * 5_000);
      }
      const { pid } = flow.daemon();
      const before = await usedBy(pid);
      await sleep(Math.min(60_000, minutes * 6_000));
      const after = await usedBy(pid);
      const grown = after.rssBytes - before.rssBytes;
      if (grown > MAX_GROWTH_BYTES) throw new Error(`${grown} bytes more without a fault`);
    },
  };
}
