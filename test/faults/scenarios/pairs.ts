/** Two daemons for one exchange and one database: one stores, the other takes over. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Life } from '../daemon.ts';
import { type Flow, temporaryFolder } from '../flow.ts';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

interface StatusPage {
  readonly parts: { readonly store: { readonly role: string } };
}

const roleOf = async (life: Life) =>
  (JSON.parse(await life.page('/status')) as StatusPage).parts.store.role;

const LEADERS = `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
  AND classid = (hashtext('hyperfeed_turn')::bigint & 4294967295)::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

async function becomes(life: Life, role: string, timeoutMs: number): Promise<void> {
  await until(`a daemon to be ${role}`, async () => (await roleOf(life)) === role, {
    timeoutMs,
    everyMs: 100,
  });
}

/** With a spool of its own. It waits for its turn, and has seen some rows. */
async function standby(flow: Flow): Promise<Life> {
  const life = flow.startDaemon({ 'spool.directory': await temporaryFolder(flow.world) });
  await becomes(life, 'standby', 60_000);
  await flow.listened(2);
  await until(
    'rows on standby',
    async () => ((await life.metric('hyperfeed_standby_rows')) ?? 0) > 100,
    {
      everyMs: 100,
    },
  );
  return life;
}

async function oneLeader(flow: Flow): Promise<void> {
  const leaders = Number(await flow.query(LEADERS));
  if (leaders !== 1) throw new Error(`${leaders} daemons have the turn`);
}

export const pairScenarios: readonly Scenario[] = [
  {
    name: 'pair-killed',
    what: 'two daemons: the one that stores is killed, and the other takes over without a gap',
    short: true,
    faults: (size) => ({ 'kill -9': size === 'short' ? 2 : 20 }),
    // The rows of the one that died are in the memory of the other.
    withoutRefill: true,
    async run(flow) {
      let active = await flow.begin();
      for (let kill = 0; kill < flow.world.planned('kill -9'); kill++) {
        const other = await standby(flow);
        await oneLeader(flow);
        await sleep(flow.world.random() * 500);
        await active.kill();
        flow.world.happened('kill -9');
        await becomes(other, 'active', 30_000);
        await oneLeader(flow);
        await flow.flowing();
        active = other;
      }
    },
  },
  {
    name: 'pair-frozen',
    what: 'two daemons: the one that stores is frozen, the other takes over, the first comes back',
    faults: (size) => ({ freeze: size === 'short' ? 1 : 3 }),
    async run(flow) {
      let active = await flow.begin();
      let other = await standby(flow);
      for (let freeze = 0; freeze < flow.world.planned('freeze'); freeze++) {
        active.signal('SIGSTOP');
        flow.world.happened('freeze');
        await becomes(other, 'active', 60_000);
        await oneLeader(flow);
        await flow.flowing();
        active.signal('SIGCONT');
        await becomes(active, 'standby', 60_000);
        await oneLeader(flow);
        [active, other] = [other, active];
      }
    },
  },
];
