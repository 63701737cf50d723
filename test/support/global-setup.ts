/**
 * One PostgreSQL and one Redis for the whole test run, real ones. TEST_DATABASE_URL and
 * TEST_REDIS_URL name others. Each test makes a database of its own: see stack.ts.
 */
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { startStack } from '../../src/embedded/stack.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    databaseUrl: string;
    redisUrl: string;
    /** Version of TimescaleDB that CREATE EXTENSION brings; undefined: plain PostgreSQL. */
    timescale: string | undefined;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const startedAt = performance.now();
  const stack = await startStack({
    fast: true,
    databaseUrl: process.env['TEST_DATABASE_URL'],
    redisUrl: process.env['TEST_REDIS_URL'],
    log: { info: () => {}, warn: console.warn },
  });
  try {
    const timescale = await timescaleVersion(stack.databaseUrl);
    const tookMs = Math.round(performance.now() - startedAt);
    const parts = [`timescaledb ${timescale ?? 'MISSING'}`, `redis: ${stack.redisKind}`];
    console.log(`test stack ready in ${tookMs} ms (${parts.join(', ')})`);
    if (timescale === undefined) announceMissing();

    project.provide('databaseUrl', stack.databaseUrl);
    project.provide('redisUrl', stack.redisUrl);
    project.provide('timescale', timescale);
  } catch (error) {
    await stack.stop();
    throw error;
  }
  return () => stack.stop();
}

async function timescaleVersion(databaseUrl: string): Promise<string | undefined> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ default_version: string }>(
      `SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'`,
    );
    return rows[0]?.default_version;
  } finally {
    await client.end();
  }
}

function announceMissing(): void {
  const message = 'TimescaleDB is not available: the tests that need it are skipped';
  if (process.env['REQUIRE_TIMESCALE'] === '1') throw new Error(`${message} (REQUIRE_TIMESCALE=1)`);
  console.warn(`\n*** ${message} ***\n`);
}
