/** What is not there at the start, and ends in the middle of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { runProcess } from '../processes.ts';
import { psql } from '../psql.ts';
import type { Flow } from '../flow.ts';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

/** Everything of a schema that a migration makes, as one text. */
const SHAPE = `SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
  SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') AS line
    FROM information_schema.columns WHERE table_schema = 'public'
  UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
  UNION ALL SELECT proname || ' ' || md5(prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    AND proname LIKE 'hyperfeed%') shape`;

async function migrated(flow: Flow, name: string): Promise<string> {
  const url = new URL(flow.postgres.url);
  url.pathname = `/${name}`;
  const program = join(flow.source, 'bin/hyperfeed.js');
  await runProcess('env', [`DATABASE_URL=${url.href}`, process.execPath, program, 'migrate']);
  return psql(url.href, SHAPE);
}

export const startScenarios: readonly Scenario[] = [
  {
    name: 'boot',
    what: 'PostgreSQL, Redis and the exchange are absent at the start, in all eight combinations',
    faults: () => ({ boot: 8 }),
    flow: { redis: true, channels: ['trades'] },
    async run(flow) {
      await flow.begin();
      for (let absent = 0; absent < 8; absent++) {
        await flow.daemon().kill();
        if (absent & 1) await flow.postgres.stop();
        if (absent & 2) await flow.redis?.kill();
        if (absent & 4) await flow.exchange.control('refuseConnections', true);
        const daemon = flow.startDaemon();
        await daemon.says('http server listening');
        await sleep(500);
        if (absent & 1) await flow.postgres.restart();
        if (absent & 2) await flow.redis?.restart();
        if (absent & 4) await flow.exchange.control('refuseConnections', false);
        await flow.listened();
        await flow.flowing();
        flow.world.happened('boot');
      }
    },
  },
  {
    name: 'migrate-killed',
    what: 'kill -9 at a random moment of the first migration; four daemons migrate at once',
    faults: (size) => ({ 'kill -9': size === 'short' ? 3 : 20, 'daemons at once': 4 }),
    async run(flow) {
      await flow.begin();
      const wanted = await flow.query(SHAPE);
      for (let kill = 0; kill < flow.world.planned('kill -9'); kill++) {
        const name = `killed_${kill}`;
        const daemon = await onOwnDatabase(flow, name);
        await until(
          'it to migrate',
          () => daemon.logged('migration running') ?? daemon.logged('storing'),
        );
        await sleep(flow.world.random() * 250);
        await daemon.kill();
        flow.world.happened('kill -9');
        if ((await migrated(flow, name)) !== wanted) throw new Error(`${name} has another schema`);
        await flow.query(`DROP DATABASE ${name} WITH (FORCE)`);
      }
      const daemons = [await onOwnDatabase(flow, 'at_once')];
      while (daemons.length < flow.world.planned('daemons at once')) {
        daemons.push(await onOwnDatabase(flow, 'at_once', false));
      }
      await Promise.all(
        daemons.map((daemon) => daemon.says('schema verified').catch(() => undefined)),
      );
      flow.world.happened('daemons at once', daemons.filter((daemon) => !daemon.hasEnded()).length);
      if ((await migrated(flow, 'at_once')) !== wanted)
        throw new Error('at_once has another schema');
      await Promise.all(daemons.map((daemon) => daemon.kill()));
    },
  },
];

/** Of no exchange: it only migrates. */
async function onOwnDatabase(flow: Flow, name: string, create = true) {
  if (create) await flow.query(`CREATE DATABASE ${name}`);
  const url = new URL(flow.postgres.url);
  url.pathname = `/${name}`;
  const own = join(flow.folder, `${name}-${flow.lives.length}`);
  return flow.startDaemon({ 'database.url': url.href, 'spool.directory': own });
}
