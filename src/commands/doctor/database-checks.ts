/** PostgreSQL and TimescaleDB, as the daemon would find them. */
import type { Client } from 'pg';
import type { Config } from '../../config.ts';
import { type Logger, scrub } from '../../log.ts';
import { withClient } from '../../schema/connect.ts';
import { migrationStatus } from '../../schema/status.ts';
import { clientConfig } from '../../writers/pg.ts';
import { type Check, ok, problem, warning } from './check.ts';
import { clockFinding, type Offset } from './clock.ts';
import { hostsCheck } from './hosts-check.ts';
import { judgeRole, readRole } from './role.ts';

const NAME = 'hyperfeed doctor';
const TESTED = 17;

export function databaseChecks(config: Config, logger: Logger): Check[] {
  const { database, mirror, redis, storage } = config;
  const { url, ownerUrl } = database;
  if (url === undefined) return [notConfigured()];
  const timeoutMs = database.connectTimeoutMs + database.statementTimeoutMs;
  const session = (signal: AbortSignal, as: string = url) => ({
    clientConfig: clientConfig({ ...database, url: as }, NAME),
    logger,
    signal,
  });
  const ask = <T>(signal: AbortSignal, use: (client: Client) => Promise<T>, as?: string) =>
    withClient(session(signal, as), use);
  const check = (name: string, run: Check['run'], todo: string, after = 'database'): Check =>
    name === after ? { name, run, todo, timeoutMs } : { name, run, todo, timeoutMs, after };

  return [
    ...hostsCheck(database, logger),
    check(
      'database',
      async (signal) => [await ask(signal, (client) => server(client, url))],
      'is PostgreSQL up, reachable from here, and database.url (DATABASE_URL) right?',
    ),
    check(
      'timescaledb',
      async (signal) => [await ask(signal, (client) => timescale(client, storage.compressAfter))],
      'what PostgreSQL says',
    ),
    check(
      'schema',
      async (signal) => [judgeSchema(await migrationStatus(session(signal)), database.migrate)],
      'does "role" say what is missing? hyperfeed migrate status asks the same',
    ),
    check(
      'role',
      async (signal) => {
        const mirrored = redis.enabled && mirror.enabled;
        const row = await ask(signal, readRole);
        return judgeRole(row, { mirrored, separateOwner: ownerUrl !== undefined });
      },
      'hyperfeed migrate status',
    ),
    ...(ownerUrl === undefined
      ? []
      : [
          check(
            'owner',
            async (signal) => [await ask(signal, owner, ownerUrl)],
            'is database.ownerUrl (DATABASE_OWNER_URL) right?',
            'owner',
          ),
        ]),
    check(
      'clock',
      async (signal) => [clockFinding(await ask(signal, offsetOf), 'PostgreSQL')],
      'what PostgreSQL says',
    ),
  ];
}

function notConfigured(): Check {
  return {
    name: 'database',
    timeoutMs: 1000,
    todo: '',
    run: async () => [
      problem('database.url is not set', 'set DATABASE_URL, or database.url in the file'),
    ],
  };
}

async function server(client: Client, url: string) {
  const startedAt = performance.now();
  const { rows } = await client.query<ServerRow>(
    `SELECT current_setting('server_version_num')::int AS number, split_part(version(), ' (', 1) AS version,
            pg_is_in_recovery() AS standby, current_setting('fsync') AS fsync`,
  );
  const tookMs = performance.now() - startedAt;
  const { number, version, standby, fsync } = rows[0] as ServerRow;
  const what = `${version.split(' on ')[0]} at ${scrub(url)}, answers in ${tookMs.toFixed(1)} ms`;
  if (standby)
    return problem(
      `${what}: a standby, nothing can be written`,
      'name the primary in database.url',
    );
  if (fsync === 'off') {
    return warning(
      `${what}; fsync is off: a power cut may lose what is stored`,
      'ALTER SYSTEM SET fsync = on, and restart it',
    );
  }
  const major = Math.floor(number / 10_000);
  if (major >= TESTED) return ok(what);
  return warning(`${what}; hyperfeed is tested with ${TESTED}`, `upgrade to PostgreSQL ${TESTED}`);
}

async function timescale(client: Client, compressAfter: string) {
  const { rows } = await client.query<TimescaleRow>(
    `SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS installed,
            (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb') AS available,
            current_setting('timescaledb.license', true) AS license,
            current_setting('timescaledb.disable_load', true) AS disabled`,
  );
  const { installed, available, license, disabled } = rows[0] as TimescaleRow;
  const loaded = license !== null || disabled === 'off';
  const preload = 'add timescaledb to shared_preload_libraries and restart PostgreSQL';
  if (installed !== null) {
    if (!loaded) return problem(`${installed} is in the database, but not loaded`, preload);
    if (license === 'timescale') {
      return ok(`${installed}, Community edition: hypertables, retention policies, compression`);
    }
    const apache = `${installed}, Apache edition: hypertables; the daemon itself removes what is past its time`;
    if (compressAfter === 'forever') return ok(`${apache}; no compression`);
    return warning(
      `${apache}; storage.compressAfter has no effect`,
      'install the Community edition (timescaledb-2-postgresql-17 of Timescale), or take compressAfter out',
    );
  }
  const plain = 'the time series are partitioned tables, without compression';
  if (available === null) {
    return warning(
      `this server has no TimescaleDB: ${plain}`,
      'it works so; for hypertables install TimescaleDB, then hyperfeed migrate',
    );
  }
  if (!loaded) return warning(`${available} is there, but not loaded: ${plain}`, preload);
  return warning(
    `${available} is there, but not in this database`,
    'hyperfeed migrate makes it where the role may; else its owner: CREATE EXTENSION timescaledb',
  );
}

function judgeSchema(
  { migrations, differences }: Awaited<ReturnType<typeof migrationStatus>>,
  migrates: boolean,
) {
  const named = (state: string) =>
    migrations.filter((one) => one.state === state).map(({ name }) => name);
  const foreign = [...named('unknown'), ...named('changed')];
  if (foreign.length > 0) {
    return problem(
      `migrations that this version does not know, or as they are not here: ${foreign.join(', ')}`,
      'run the version of hyperfeed that migrated it, or a newer one',
    );
  }
  const pending = named('pending');
  if (pending.length > 0) {
    const what = `${pending.length} of ${migrations.length} migrations have not run`;
    return migrates
      ? warning(what, 'hyperfeed migrate, or let the daemon do it when it starts')
      : problem(`${what}, and database.migrate is false`, 'hyperfeed migrate');
  }
  // Privileges are told by the check of the role.
  const other = differences.filter((line) => !line.includes(' may not '));
  if (other.length > 0) return problem(other.join('\n'), 'hyperfeed migrate status shows them');
  return ok(`up to date, ${migrations.length} migrations`);
}

async function owner(client: Client) {
  const { rows } = await client.query<{ role: string; owns: boolean | null }>(
    `SELECT current_user AS role,
            (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('hyperfeed_migrations')) AS owns`,
  );
  const { role, owns } = rows[0] as { role: string; owns: boolean | null };
  if (owns !== false) return ok(`"${role}" may migrate and remove what is past its time`);
  return problem(
    `"${role}" does not own the tables`,
    `GRANT hyperfeed_owner TO "${role}", or name another role in database.ownerUrl`,
  );
}

async function offsetOf(client: Client): Promise<Offset> {
  let best: Offset | undefined;
  for (let i = 0; i < 3; i++) {
    const sentAt = performance.timeOrigin + performance.now();
    const { rows } = await client.query<{ ms: string }>(
      'SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms',
    );
    const heardAt = performance.timeOrigin + performance.now();
    // It said so at some moment between.
    const ms = Number(rows[0]?.ms);
    const offset = { fromMs: ms - heardAt, toMs: ms - sentAt };
    if (!best || offset.toMs - offset.fromMs < best.toMs - best.fromMs) best = offset;
  }
  return best as Offset;
}

interface ServerRow {
  number: number;
  version: string;
  standby: boolean;
  fsync: string;
}

interface TimescaleRow {
  installed: string | null;
  available: string | null;
  license: string | null;
  disabled: string | null;
}
