/** PostgreSQL is stopped, crashes, fills up, locks; its link breaks in every way. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Flow } from '../flow.ts';
import type { Link } from '../link.ts';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

const databaseLink = ({ links }: Flow): Link => {
  if (!links.database) throw new Error('the scenario has no link to the database');
  return links.database;
};

/** Of its own, by what they are for: PostgreSQL knows them by the startup packet. */
const SESSIONS = `SELECT coalesce(string_agg(application_name, ', ' ORDER BY application_name), '')
  FROM pg_stat_activity WHERE application_name LIKE 'hyperfeed%'`;

export const databaseScenarios: readonly Scenario[] = [
  {
    name: 'postgres-crash',
    what: 'PostgreSQL is stopped at once (pg_ctl -m immediate), or killed with its sessions; the daemon stays',
    short: true,
    faults: (size) => ({ 'postgres crash': size === 'short' ? 3 : 30 }),
    // Small batches: it is in the middle of one.
    flow: { rate: 1_000, settings: { 'database.batch.maxDelayMs': 0 } },
    withoutRefill: true,
    async run(flow) {
      await flow.begin();
      for (let crash = 0; crash < flow.world.planned('postgres crash'); crash++) {
        await sleep(flow.world.random() * 500);
        await (crash % 4 === 3 ? flow.postgres.kill() : flow.postgres.stop('immediate'));
        flow.world.happened('postgres crash');
        await flow.postgres.restart();
        await flow.flowing();
      }
    },
  },
  {
    name: 'postgres-down',
    what: 'PostgreSQL is down while 300,000 trades come in; memory stays as it was',
    faults: () => ({ outage: 1 }),
    // Memory holds 2 MiB of what waits; the rest is on disk.
    flow: { settings: { 'spool.memoryBytes': 2 * 1024 * 1024, 'spool.segmentBytes': 1024 * 1024 } },
    withoutRefill: true,
    async run(flow, size) {
      const daemon = await flow.begin();
      const before = await daemon.metric('nodejs_external_memory_bytes');
      await flow.postgres.stop();
      const bursts = size === 'short' ? 12 : 60;
      for (let burst = 0; burst < bursts; burst++) {
        await flow.exchange.burst(flow.symbols[burst % flow.symbols.length] ?? '', 5_000);
        await sleep(100);
      }
      await until('the spool to hold it', async () => {
        const emitted = await flow.exchange.emitted();
        return ((await daemon.metric('hyperfeed_rows_received_total')) ?? 0) >= emitted * 0.98;
      });
      const after = await daemon.metric('nodejs_external_memory_bytes');
      const grown = Math.round(((after ?? NaN) - (before ?? NaN)) / 1024 / 1024);
      if (!(grown < 16)) throw new Error(`${grown} MiB more in memory while PostgreSQL was down`);
      flow.world.happened('outage');
      await flow.postgres.restart();
    },
  },
  {
    name: 'answer-lost',
    what: 'the answer to COMMIT is lost with the connection',
    short: true,
    faults: (size) => ({ 'answer lost': size === 'short' ? 5 : 20 }),
    flow: { links: ['database'] },
    withoutRefill: true,
    async run(flow) {
      await flow.begin();
      for (let lost = 0; lost < flow.world.planned('answer lost'); lost++) {
        await databaseLink(flow).loseAnswer('COMMIT');
        flow.world.happened('answer lost');
        await flow.flowing();
      }
    },
  },
  {
    name: 'postgres-reset',
    what: 'the link to PostgreSQL is reset, ten times a second',
    short: true,
    faults: (size) => ({ reset: size === 'short' ? 10 : 50 }),
    flow: { links: ['database'] },
    withoutRefill: true,
    async run(flow) {
      await flow.begin();
      const link = databaseLink(flow);
      let done = 0;
      await until(
        'resets',
        async () => {
          const hit = link.reset();
          if (hit > 0) flow.world.happened('reset');
          done += hit > 0 ? 1 : 0;
          return done >= flow.world.planned('reset');
        },
        { everyMs: 100, timeoutMs: 300_000 },
      );
    },
  },
  {
    name: 'postgres-refused',
    what: 'PostgreSQL refuses connections for 5 s',
    short: true,
    faults: () => ({ refused: 2 }),
    flow: { links: ['database'] },
    withoutRefill: true,
    async run(flow) {
      await flow.begin();
      const link = databaseLink(flow);
      link.refuse(true);
      link.reset();
      await sleep(2_000);
      await until('refusals', () => link.refused() >= flow.world.planned('refused'));
      flow.world.happened('refused', link.refused());
      link.refuse(false);
    },
  },
  {
    name: 'postgres-stalled',
    what: 'the link to PostgreSQL is a black hole in the middle of a COPY; new connections work',
    short: true,
    faults: (size) => ({ stall: size === 'short' ? 1 : 3 }),
    flow: {
      links: ['database'],
      // What the default of 30 s does takes 30 s.
      settings: {
        'database.copyTimeoutMs': 3_000,
        'database.statementTimeoutMs': 3_000,
        // Else a daemon ends what is left of its former session when it takes its turn.
        'standby.enabled': false,
      },
    },
    withoutRefill: true,
    async run(flow) {
      await flow.begin();
      const link = databaseLink(flow);
      for (let stall = 0; stall < flow.world.planned('stall'); stall++) {
        const usual = await flow.query(SESSIONS);
        if (link.stallOpen() > 0) flow.world.happened('stall');
        await flow.flowing(40_000);
        // What the daemon did with its end gets through: a session that nobody uses any more would hold
        // its locks, and its place, until the server loses patience.
        link.resume();
        let now = '';
        await until(
          'the dead session to be let go',
          async () => (now = await flow.query(SESSIONS)).length <= usual.length,
          { timeoutMs: 8_000, everyMs: 200 },
        ).catch(() => {
          throw new Error(`a dead session is left: ${now}; before: ${usual}`);
        });
      }
    },
  },
  {
    name: 'postgres-trickle',
    what: 'the link to PostgreSQL passes one byte at a time',
    short: true,
    faults: () => ({ 'byte alone': 2_000 }),
    flow: { links: ['database'], rate: 200 },
    withoutRefill: true,
    async run(flow, size) {
      await flow.begin();
      const link = databaseLink(flow);
      link.trickle(true);
      await sleep(size === 'short' ? 2_000 : 5_000);
      flow.world.happened('byte alone', link.trickled());
      link.trickle(false);
    },
  },
  {
    name: 'postgres-lock',
    what: 'another session locks trades; drop_chunks waits behind an open reader',
    faults: () => ({ lock: 2 }),
    withoutRefill: true,
    async run(flow, size) {
      await flow.begin();
      const seconds = size === 'short' ? 3 : 20;
      await flow.query(
        `BEGIN; LOCK TABLE trades IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(${seconds}); ROLLBACK;`,
      );
      flow.world.happened('lock');
      await flow.flowing();
      const reader = flow.query(
        `BEGIN; SELECT count(*) FROM trades; SELECT pg_sleep(${seconds}); COMMIT;`,
      );
      await sleep(200);
      await flow.query(
        `SET lock_timeout = '1s';
         DO $$ BEGIN LOCK TABLE trades IN ACCESS EXCLUSIVE MODE;
         EXCEPTION WHEN lock_not_available THEN NULL; END $$;`,
      );
      flow.world.happened('lock');
      await flow.flowing();
      await reader;
    },
  },
  {
    name: 'postgres-read-only',
    what: 'PostgreSQL takes no writes for a while (25006)',
    short: true,
    faults: () => ({ 'read only': 1 }),
    withoutRefill: true,
    async run(flow) {
      await flow.begin();
      await flow.query(
        `ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf();`,
      );
      await until('it to be refused', () =>
        flow
          .daemon()
          .log()
          .some(({ msg }) => msg === 'storing interrupted'),
      );
      flow.world.happened('read only');
      await flow.query(
        `SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf();`,
      );
      await flow.flowing(90_000);
    },
  },
];
