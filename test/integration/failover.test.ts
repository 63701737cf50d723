/** Several hosts in DATABASE_URL: the one that takes writes is found, and rows that it never got are stored again. */
import { execFile } from 'node:child_process';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { DEFAULT_CACHE_DIR } from '../../src/embedded/stack.ts';
import { createThrowawayFolder } from '../../src/embedded/throwaway.ts';
import { rowsOf, simulate, startDaemon, storedTrades, temporaryFolder } from '../support/daemon.ts';
import { ownPostgres } from '../support/own-servers.ts';
import { createDatabase, type TestDatabase, waitFor } from '../support/stack.ts';

const run = promisify(execFile);

/** A primary with a schema-less database, and an asynchronous standby that follows it. */
async function primaryAndStandby() {
  const primary = await ownPostgres();
  // It goes with its server.
  const database = await createDatabase({ serverUrl: primary.url });
  await primary.stop();
  const folder = await createThrowawayFolder();
  onTestFinished(() => folder.remove());
  const dataDirectory = join(folder.path, 'postgres');
  await run('cp', ['-a', primary.dataDirectory, dataDirectory]);
  await writeFile(join(dataDirectory, 'standby.signal'), '');
  await appendFile(
    join(dataDirectory, 'postgresql.auto.conf'),
    `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres'\n`,
  );
  await primary.restart();
  const log = { info: () => {}, warn: () => {} };
  const standby = await startPostgres({
    cacheDir: DEFAULT_CACHE_DIR,
    dataDirectory,
    fast: true,
    log,
  });
  onTestFinished(() => standby.stop());

  async function onStandby(
    sql: string,
    params: unknown[] = [],
  ): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: new URL(`/${database.name}`, standby.url).href });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql, params)).rows;
    } finally {
      await client.end();
    }
  }

  const { host, pathname } = new URL(database.url);
  return {
    primary,
    standby,
    database,
    onStandby,
    promoted: { query: onStandby } as unknown as TestDatabase,
    /** The standby first: it is not the one to write to. */
    url: `postgres://postgres@127.0.0.1:${standby.port},${host}${pathname}`,
  };
}

test('an asynchronous standby is promoted in full flow: 0 lost, 0 doubled', async () => {
  const { primary, database, onStandby, promoted, url } = await primaryAndStandby();
  const simulation = await simulate();
  simulation.setRate(0);
  const before = (await simulation.journal()).length;
  const daemon = await startDaemon({
    ...simulation.settings,
    channels: ['trades'],
    'database.url': url,
    'spool.directory': await temporaryFolder(),
  });
  await simulation.subscribed(2);
  simulation.setRate(500);
  const count = async (on: (sql: string) => Promise<Record<string, unknown>[]>) =>
    Number((await on('SELECT count(*) AS n FROM trades').catch(() => [{ n: 0 }]))[0]?.['n']);
  await waitFor(async () => (await count(onStandby)) > 500, {
    what: 'rows on the standby',
    timeoutMs: 30_000,
  });

  // The primary goes on alone, and what it stores from now on is lost with it.
  await onStandby(`ALTER SYSTEM SET primary_conninfo = ''`);
  await onStandby('SELECT pg_reload_conf()');
  await waitFor(async () => (await onStandby('SELECT FROM pg_stat_wal_receiver')).length === 0, {
    what: 'replication to end',
  });
  const replicated = await count(onStandby);
  await waitFor(async () => (await count((sql) => database.query(sql))) > replicated + 1_000, {
    what: 'rows that only the primary has',
    timeoutMs: 30_000,
  });
  await primary.kill();
  await waitFor(async () => (await daemon.value('storeErrors')) > 0, { what: 'the outage' });
  await onStandby('SELECT pg_promote()');

  await waitFor(async () => (await daemon.value('watermarkRegressions')) === 1, {
    what: 'the missing rows to be noticed',
    timeoutMs: 30_000,
  });
  simulation.setRate(0);
  await daemon.drained();
  const expected = rowsOf((await simulation.journal()).slice(before));
  await waitFor(async () => (await count(onStandby)) >= expected.length, {
    what: 'all rows',
    timeoutMs: 30_000,
  });
  expect(await storedTrades(promoted)).toEqual(expected);
  expect(expected.length - replicated).toBeGreaterThan(1_000);
  // From the spool alone: the exchange was not asked.
  expect(await daemon.value('gapRowsBackfilled')).toBe(0);
  await daemon.daemon.stop();
});

test('no host takes writes: said by its place, and waited for', async () => {
  const { primary, onStandby, url } = await primaryAndStandby();
  await primary.stop();
  const simulation = await simulate();
  const daemon = await startDaemon({
    ...simulation.settings,
    channels: ['trades'],
    'database.url': url,
    'spool.directory': await temporaryFolder(),
  });
  const problem = async () =>
    (await daemon.page<{ reasons: { detail: string }[] }>('/status')).reasons[0]?.detail ?? '';
  await waitFor(async () => (await problem()).startsWith('no_writable_host'), {
    what: 'the reason',
  });
  expect(await problem()).toContain('host 1: standby, host 2: ECONNREFUSED');
  await onStandby('SELECT pg_promote()');
  simulation.setRate(100);
  await waitFor(async () => (await daemon.value('rowsStored')) > 20, {
    what: 'rows',
    timeoutMs: 30_000,
  });
  await daemon.daemon.stop();
});
