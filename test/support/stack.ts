/** What an integration test needs of the servers that global-setup.ts started. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Client, Pool, type QueryResultRow } from 'pg';
import { inject } from 'vitest';
import { run, succeeds } from '../../src/embedded/run.ts';

export { freePort } from '../../src/embedded/free-port.ts';

export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  query<Row extends QueryResultRow = QueryResultRow>(
    sql: string,
    params?: unknown[],
  ): Promise<Row[]>;
  /** Cuts whatever sessions are left. */
  drop(): Promise<void>;
}

/**
 * A fresh database. With TimescaleDB where the server has it: `timescale: true` insists on it,
 * `timescale: false` leaves it out. `serverUrl`: on a private server instead of the shared one.
 */
export async function createDatabase(
  options: { timescale?: boolean; serverUrl?: string } = {},
): Promise<TestDatabase> {
  const serverUrl = options.serverUrl ?? inject('databaseUrl');
  const timescale = options.timescale ?? inject('timescale') !== undefined;
  const name = `test_${randomBytes(6).toString('hex')}`;
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await administer(serverUrl, `CREATE DATABASE ${name}`);

  const pool = new Pool({ connectionString: url.href, max: 2 });
  // A fault test stops the server; an idle session that breaks is no news, the next query tells.
  pool.on('error', () => {});
  if (timescale) await pool.query('CREATE EXTENSION timescaledb');
  return {
    url: url.href,
    name,
    async query<Row extends QueryResultRow>(sql: string, params?: unknown[]) {
      return (await pool.query<Row>(sql, params)).rows;
    },
    async drop() {
      await pool.end();
      // FORCE: TimescaleDB's scheduler holds a session in every database.
      await administer(serverUrl, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

async function administer(serverUrl: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/**
 * URL of an emptied logical database that no other caller gets until all others have had a turn.
 * Database 0 keeps the turn. Mind that PUBLISH reaches subscribers in every logical database.
 */
export async function redisDatabase(): Promise<string> {
  const url = new URL(inject('redisUrl'));
  url.pathname = '/0';
  const client = new Redis(url.href);
  try {
    const databases = Number((await client.config('GET', 'databases'))[1]);
    const turn = await client.incr('hyperfeed:test:turn');
    const index = 1 + (turn % (databases - 1));
    await client.select(index);
    await client.flushdb();
    url.pathname = `/${index}`;
    return url.href;
  } finally {
    client.disconnect();
  }
}

/** The first truthy value of `condition`, which is asked over and over. What it throws is thrown. */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = 10_000 }: { what: string; timeoutMs?: number },
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await sleep(10);
  }
}

/** psql on PATH (npm's PostgreSQL has none); undefined: not installed, skip what needs it. */
export const psqlPath: string | undefined = (await succeeds(['psql', '--version']))
  ? 'psql'
  : undefined;

/** Output of psql, values only: columns separated by `|`, rows by newlines. */
export async function runPsql(url: string, sql: string): Promise<string> {
  const output = await run([psqlPath ?? 'psql', url, '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', sql]);
  return output.trimEnd();
}
