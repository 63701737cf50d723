/** The daemon is killed, stopped, frozen. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Flow } from '../flow.ts';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

const EVERY_FOURTH = 4;

/** Kills in full flow; every fourth at any moment of the start, recovery included. */
async function killLoop(flow: Flow, more: (life: number) => Promise<void>): Promise<void> {
  const { world } = flow;
  const kills = world.planned('kill -9');
  for (let life = 0; life < kills; life++) {
    const daemon = life === 0 ? await flow.begin() : flow.startDaemon();
    if (life % EVERY_FOURTH !== EVERY_FOURTH - 1) {
      if (life > 0) await flow.listened();
      await flow.flowing();
      await more(life);
    }
    await sleep(world.random() * 600);
    await daemon.kill();
    world.happened('kill -9');
  }
  flow.startDaemon();
  await flow.listened();
}

async function skipAndDrop({ world, exchange, symbols }: Flow, life: number): Promise<void> {
  const skipped = 1 + world.draw(50);
  await exchange.control('skipNextTrades', world.pick(symbols), skipped);
  world.happened('trade skipped', skipped);
  if (life % 3 !== 1) return;
  await sleep(world.random() * 200);
  world.happened('socket cut', Number(await exchange.control('dropConnections')));
}

interface StatusPage {
  readonly parts: { readonly store: { readonly spool: { readonly unwrittenBytes: number } } };
}

const received = async ({ daemon }: Flow) =>
  (await daemon().metric('hyperfeed_rows_received_total', 'table="trades"')) ?? 0;

/** Trades that are on disk, and not stored. */
async function backlog(flow: Flow): Promise<void> {
  const { exchange, links } = flow;
  await exchange.setRate(0);
  const emitted = await exchange.emitted();
  await until(
    'all to be stored',
    async () => Number(await flow.query('SELECT count(*) FROM trades')) >= emitted,
    { everyMs: 100 },
  );
  const before = await received(flow);
  links.database?.refuse(true);
  links.database?.reset();
  for (const symbol of flow.symbols) await exchange.burst(symbol, 200 + flow.world.draw(400));
  const wanted = before + (await exchange.emitted()) - emitted;
  await until('a backlog on disk', async () => {
    const { parts } = JSON.parse(await flow.daemon().page('/status')) as StatusPage;
    return parts.store.spool.unwrittenBytes === 0 && (await received(flow)) >= wanted;
  });
}

const perLife = (kills: number) => ({
  'kill -9': kills,
  'trade skipped': Math.floor(kills / 2),
  'socket cut': Math.floor(kills / 6),
});

export const crashScenarios: readonly Scenario[] = [
  {
    name: 'kill',
    what: 'kill -9 at random moments, sockets cut, trades skipped by the socket',
    short: true,
    faults: (size) => perLife(size === 'short' ? 8 : 100),
    flow: { rate: 1_000 },
    run: (flow) => killLoop(flow, (life) => skipAndDrop(flow, life)),
  },
  {
    name: 'kill-and-crash',
    what: 'the same, and PostgreSQL crashes at every tenth',
    faults: (size) => ({
      ...perLife(size === 'short' ? 10 : 50),
      'postgres crash': size === 'short' ? 1 : 5,
    }),
    flow: { rate: 1_000 },
    run: (flow) =>
      killLoop(flow, async (life) => {
        await skipAndDrop(flow, life);
        if (life % 10 !== 6) return;
        await flow.postgres.stop('immediate');
        await flow.postgres.restart();
        flow.world.happened('postgres crash');
      }),
  },
  {
    name: 'kill-at-start',
    what: 'kill -9 again and again while it starts and recovers',
    faults: (size) => ({ 'kill -9': size === 'short' ? 5 : 60 }),
    async run(flow) {
      await flow.begin();
      await flow.daemon().kill();
      flow.world.happened('kill -9');
      for (let kill = 1; kill < flow.world.planned('kill -9'); kill++) {
        const daemon = flow.startDaemon();
        // The spool is opened before this.
        if (kill % 2 === 0) await daemon.says('http server listening');
        await sleep(flow.world.random() * (kill % 2 === 0 ? 50 : 800));
        await daemon.kill();
        flow.world.happened('kill -9');
      }
      flow.startDaemon();
      await flow.listened();
    },
  },
  {
    name: 'kill-accepted',
    what: 'kill -9 while what was accepted waits on disk for PostgreSQL: it is stored without help from the exchange',
    short: true,
    faults: (size) => ({ 'kill -9': size === 'short' ? 3 : 20 }),
    flow: { links: ['database'] },
    withoutRefill: true,
    async run(flow) {
      const link = flow.links.database;
      await flow.begin();
      for (let kill = 0; kill < flow.world.planned('kill -9'); kill++) {
        await backlog(flow);
        await flow.daemon().kill();
        flow.world.happened('kill -9');
        link?.refuse(false);
        const life = flow.startDaemon();
        await life.says('storing');
        await flow.listened();
        await flow.exchange.setRate(flow.rate);
        await flow.flowing();
      }
    },
  },
  {
    name: 'stop',
    what: 'SIGTERM in full flow, PostgreSQL up, frozen and down in turn',
    faults: (size) => ({ SIGTERM: size === 'short' ? 3 : 30 }),
    flow: { links: ['database'], settings: { shutdownTimeoutMs: 3_000 } },
    async run(flow) {
      const link = flow.links.database;
      await flow.begin();
      for (let stop = 0; stop < flow.world.planned('SIGTERM'); stop++) {
        if (stop > 0) {
          flow.startDaemon();
          await flow.listened();
          await flow.flowing();
        }
        if (stop % 3 === 1) link?.stall();
        if (stop % 3 === 2) await flow.postgres.stop();
        await sleep(flow.world.random() * 500);
        await flow.daemon().stop();
        flow.world.happened('SIGTERM');
        link?.resume();
        if (stop % 3 === 2) await flow.postgres.restart();
      }
      flow.startDaemon();
      await flow.listened();
    },
  },
  {
    name: 'freeze',
    what: 'the daemon is frozen (SIGSTOP) for 20 s, and its sockets are cut meanwhile',
    short: true,
    faults: (size) => ({ freeze: size === 'short' ? 1 : 2, 'socket cut': 1 }),
    async run(flow, size) {
      const daemon = await flow.begin();
      for (let freeze = 0; freeze < flow.world.planned('freeze'); freeze++) {
        daemon.signal('SIGSTOP');
        await sleep(size === 'short' ? 4_000 : 20_000);
        if (freeze === 0) {
          flow.world.happened('socket cut', Number(await flow.exchange.control('dropConnections')));
        }
        daemon.signal('SIGCONT');
        flow.world.happened('freeze');
        await flow.flowing();
      }
    },
  },
  {
    name: 'lost-tail',
    what: 'trades skipped by the socket, the socket cut, and then nothing trades: only REST shows them',
    short: true,
    faults: () => ({ 'trade skipped': 60, 'socket cut': 1 }),
    async run(flow) {
      await flow.begin();
      await flow.exchange.setRate(0);
      for (const symbol of flow.symbols) {
        await flow.exchange.control('skipNextTrades', symbol, 20);
        await flow.exchange.burst(symbol, 20);
        flow.world.happened('trade skipped', 20);
      }
      flow.world.happened('socket cut', Number(await flow.exchange.control('dropConnections')));
      const emitted = await flow.exchange.emitted();
      await until(
        'trades that nothing but REST shows',
        async () => Number(await flow.query('SELECT count(*) FROM trades')) === emitted,
        { timeoutMs: 40_000, everyMs: 200 },
      );
      await flow.exchange.setRate(flow.rate);
    },
  },
  {
    name: 'gap-and-kill',
    what: 'trades skipped while REST fails, kill -9 before they are refilled',
    short: true,
    faults: () => ({ 'trade skipped': 120, 'kill -9': 1 }),
    async run(flow) {
      const daemon = await flow.begin();
      await flow.exchange.control('failRequests', 1_000_000, 503);
      for (const symbol of flow.symbols) {
        await flow.exchange.control('skipNextTrades', symbol, 40);
        flow.world.happened('trade skipped', 40);
      }
      // Rows behind the hole are stored: the newest id says nothing of it any more.
      await sleep(300);
      await flow.flowing();
      await daemon.kill();
      flow.world.happened('kill -9');
      await flow.exchange.control('failRequests', 0, 503);
      flow.startDaemon();
      await flow.listened();
    },
  },
];
