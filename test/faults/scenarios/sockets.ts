/** The sockets of the exchange: cut, reset, silent, rotated, refused; trades that they skip. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Flow } from '../flow.ts';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

const accepted = async ({ exchange }: Flow) =>
  ((await exchange.control('counters')) as { accepted: number }).accepted;

async function redialed(flow: Flow, before: number): Promise<void> {
  await until('another socket', async () => (await accepted(flow)) > before);
  await flow.listened();
}

async function cut(flow: Flow, code?: number): Promise<void> {
  const before = await accepted(flow);
  const hit = Number(await flow.exchange.control('dropConnections', ...(code ? [code] : [])));
  flow.world.happened(code ? 'socket closed' : 'socket cut', hit);
  await redialed(flow, before);
}

export const socketScenarios: readonly Scenario[] = [
  {
    name: 'socket-cut',
    what: 'sockets of the exchange are reset, or closed with a code, in storms',
    short: true,
    faults: (size) => ({
      'socket cut': size === 'short' ? 3 : 15,
      'socket closed': size === 'short' ? 2 : 10,
    }),
    async run(flow) {
      await flow.begin();
      for (let i = 0; i < flow.world.planned('socket cut'); i++) await cut(flow);
      const codes = [1001, 1006, 1008, 1011, 1012, 1013];
      for (let i = 0; i < flow.world.planned('socket closed'); i++) {
        const code = flow.world.pick(codes.filter((one) => one !== 1006));
        await cut(flow, code);
        await flow.flowing();
      }
    },
  },
  {
    name: 'socket-silent',
    what: 'sockets of the exchange stay open and say nothing',
    short: true,
    faults: (size) => ({ silence: size === 'short' ? 1 : 3 }),
    flow: {
      settings: {
        'connection.silenceTimeoutMs': 3_000,
        'connection.staleAfterMs.trades': 2_000,
      },
    },
    async run(flow) {
      await flow.begin();
      for (let i = 0; i < flow.world.planned('silence'); i++) {
        const before = await accepted(flow);
        await flow.exchange.control('pauseStreams');
        await until('another socket', async () => (await accepted(flow)) > before, {
          timeoutMs: 30_000,
        });
        flow.world.happened('silence');
        await flow.exchange.control('resumeStreams');
        await flow.flowing();
      }
    },
  },
  {
    name: 'socket-rotation',
    what: 'sockets are replaced at their age, before the exchange cuts them, and when it says that it will',
    short: true,
    faults: (size) => ({ rotation: size === 'short' ? 3 : 20 }),
    flow: { settings: { 'connection.maxAgeMs': 2_500 } },
    // The old socket serves until the new one does.
    withoutRefill: true,
    async run(flow) {
      await flow.begin();
      const start = await accepted(flow);
      await flow.exchange.control('sendServerShutdown');
      await until(
        'rotations',
        async () => (await accepted(flow)) - start >= flow.world.planned('rotation'),
        { timeoutMs: 120_000, everyMs: 200 },
      );
      flow.world.happened('rotation', (await accepted(flow)) - start);
    },
  },
  {
    name: 'socket-link',
    what: 'the link to the exchange: reset, refused, a byte at a time, a black hole',
    short: true,
    faults: () => ({ reset: 1, refused: 1, 'byte alone': 2_000, stall: 1 }),
    flow: { links: ['exchange'], rate: 150, settings: { 'connection.silenceTimeoutMs': 4_000 } },
    async run(flow) {
      await flow.begin();
      const link = flow.links.exchange;
      if (!link) throw new Error('no link');
      flow.world.happened('reset', link.reset());
      await flow.flowing();
      link.refuse(true);
      link.reset();
      await until('a refusal', () => link.refused() > 0);
      flow.world.happened('refused', link.refused());
      link.refuse(false);
      await flow.flowing();
      link.trickle(true);
      await sleep(2_000);
      flow.world.happened('byte alone', link.trickled());
      link.trickle(false);
      await flow.flowing();
      const before = await accepted(flow);
      flow.world.happened('stall', link.stallOpen());
      await until('another socket', async () => (await accepted(flow)) > before, {
        timeoutMs: 40_000,
      });
      await flow.flowing();
    },
  },
  {
    name: 'rest-fails',
    what: 'trades are skipped by the socket while REST answers 429, 418 and 500',
    faults: () => ({ 'trade skipped': 300, 'request refused': 30 }),
    async run(flow) {
      await flow.begin();
      for (const status of [429, 418, 500]) {
        await flow.exchange.control('failRequests', 10, status, 1);
        flow.world.happened('request refused', 10);
        await flow.exchange.control('skipNextTrades', flow.world.pick(flow.symbols), 100);
        flow.world.happened('trade skipped', 100);
        await flow.flowing();
      }
    },
  },
  {
    name: 'candles',
    what: 'kill -9 and a cut socket across the ends of minutes: closed candles',
    faults: () => ({ 'kill -9': 1, 'socket cut': 1 }),
    flow: { channels: ['trades', 'candles'] },
    async run(flow) {
      await flow.begin();
      const across = async (fault: () => Promise<void>) => {
        await until('the end of a minute', () => Date.now() % 60_000 > 57_000, {
          timeoutMs: 61_000,
        });
        await fault();
        await until('a new minute', () => Date.now() % 60_000 < 30_000, { timeoutMs: 10_000 });
        await sleep(2_000);
      };
      await flow.exchange.control('refuseConnections', true);
      await across(async () => {
        flow.world.happened('socket cut', Number(await flow.exchange.control('dropConnections')));
      });
      await flow.exchange.control('refuseConnections', false);
      await flow.flowing();
      await across(async () => {
        await flow.daemon().kill();
        flow.world.happened('kill -9');
      });
      flow.startDaemon();
      await flow.listened();
      await flow.flowing();
    },
  },
];
