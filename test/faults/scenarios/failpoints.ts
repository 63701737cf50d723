/** kill -9 inside each step of the way of a row. */
import { join } from 'node:path';
import { FAILPOINTS } from '../failpoints.ts';
import { patchedCopy } from '../patches.ts';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';
import { poison, replay } from './rows.ts';

export const failpointScenarios: readonly Scenario[] = [
  {
    name: 'kill-inside',
    what: `killed inside each step: ${FAILPOINTS.map(({ name }) => name).join(', ')}`,
    faults: (size) =>
      Object.fromEntries(FAILPOINTS.map(({ name }) => [name, size === 'short' ? 1 : 10])),
    flow: {
      rate: 1_000,
      settings: { 'spool.segmentBytes': 65_536, 'spool.retainSeconds': 0 },
    },
    async run(flow) {
      const { world } = flow;
      const copy = await patchedCopy(
        join(flow.folder, 'copy'),
        FAILPOINTS.map(({ patch }) => patch),
      );
      await flow.begin();
      await flow.daemon().kill();
      await poison(flow, 400);
      for (const { name, hits } of FAILPOINTS) {
        for (let kill = 0; kill < world.planned(name); kill++) {
          const environment = { FAILPOINT: `${name}:${1 + world.draw(hits)}` };
          const daemon = flow.startDaemon({}, environment, copy);
          const stop = setInterval(
            () => void flow.exchange.control('skipNextTrades', world.pick(flow.symbols), 5),
            1_000,
          );
          try {
            await until(`it to die at ${name}`, () => daemon.hasEnded(), { timeoutMs: 60_000 });
          } finally {
            clearInterval(stop);
          }
          if ((await daemon.ended).signal !== 'SIGKILL')
            throw new Error(`it ended by itself at ${name}`);
          world.happened(name);
        }
      }
      flow.startDaemon();
      await flow.listened();
      await flow.flowing();
      await replay(flow);
    },
  },
];
