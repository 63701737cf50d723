/** What `hyperfeed doctor` finds of PostgreSQL and Redis that answer, and are not as they should be. */
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freshDatabase } from '../support/daemon.ts';
import { examine, login, migratedDatabase, said, surroundings } from '../support/doctor.ts';
import { ownPostgres, ownRedis } from '../support/own-servers.ts';
import { freePort } from '../support/stack.ts';

describe('the database', () => {
  test('a superuser, and a schema that is not there yet: warnings, and what to do', async () => {
    const { settings } = await surroundings(await freshDatabase());
    const { code, one } = await examine(settings);
    expect(code).toBe(0);
    expect(one('schema')).toEqual(said('warning', /^(\d+) of \1 migrations have not run$/));
    expect(one('role')).toEqual(said('warning', /superuser/));
    const verifying = await examine({ ...settings, 'database.migrate': false });
    expect([verifying.code, verifying.one('schema')?.level]).toEqual([1, 'problem']);
  });

  test('a role that may too little, an owner that is none, a table that was changed', async () => {
    const { database, settings } = await surroundings();
    await database.query('ALTER TABLE symbols ALTER COLUMN status TYPE text');
    const url = await login(database);
    const { code, of, one } = await examine({
      ...settings,
      'database.url': url,
      'database.ownerUrl': url,
    });
    expect(code).toBe(1);
    const { username } = new URL(url);
    expect(of('role')).toContainEqual({
      check: 'role',
      level: 'problem',
      what: `trades: role "${username}" may not INSERT; GRANT INSERT ON trades`,
      todo: `GRANT hyperfeed_writer TO "${username}"`,
    });
    expect(of('role')).toContainEqual(said('problem', /may not read strategies/));
    expect(one('schema')).toEqual(said('problem', /permission denied/));
    const asOwner = await examine(settings);
    expect(asOwner.one('schema')).toEqual(said('problem', /^symbols\.status: is text, must be/));
    expect(one('owner')).toEqual(said('problem', /does not own the tables/));
  });

  test('a newer version migrated it; TimescaleDB is not loaded; its clock is ahead', async () => {
    const { database, settings } = await surroundings(await migratedDatabase(false));
    await database.query(
      `INSERT INTO hyperfeed_migrations (name, run_on) VALUES ('9999_later', now())`,
    );
    await database.query(
      `CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql
       AS $$ SELECT pg_catalog.clock_timestamp() + interval '3 s' $$`,
    );
    await database.query(`ALTER DATABASE ${database.name} SET search_path = public, pg_catalog`);
    const { code, one } = await examine(settings);
    expect(code).toBe(1);
    expect(one('schema')).toEqual(said('problem', /9999_later/));
    expect(one('timescaledb')).toEqual(said('warning', /not loaded: .* partitioned tables/));
    expect(one('clock')).toEqual(
      said('problem', /^the clock of PostgreSQL is [23]\.\d s or more ahead of ours$/),
    );
  });
});

test('several hosts: each is told, and that not two may take writes', async () => {
  const { database, settings } = await surroundings();
  const second = await ownPostgres();
  const { username, password, host, pathname } = new URL(database.url);
  const at = (others: string) =>
    examine({
      ...settings,
      'database.url': `postgres://${username}:${password}@${host},${others}${pathname}`,
    });
  const absent = await at(`127.0.0.1:${await freePort()}`);
  expect(absent.code).toBe(0);
  expect(absent.of('database hosts')).toEqual([
    said('ok', /takes writes$/),
    said('warning', /ECONNREFUSED/),
  ]);
  expect(absent.one('database')?.what).toMatch(/^PostgreSQL 17/);
  const server = new Client({ connectionString: second.url });
  await server.connect();
  await server.query(`CREATE DATABASE ${database.name}`);
  await server.end();
  const both = await at(new URL(second.url).host);
  expect(both.of('database hosts').at(-1)).toEqual(said('problem', /^2 of them take writes/));
});

test('Redis that evicts, is nearly full, or is a replica', async () => {
  const { settings } = await surroundings();
  const { port } = await ownRedis();
  const url = `redis://127.0.0.1:${port}`;
  const redis = new Redis(url);
  onTestFinished(() => redis.disconnect());
  const look = async () => {
    const { code, of } = await examine({ ...settings, 'redis.url': url });
    return [code, of('redis')] as const;
  };
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  expect((await look())[1]).toContainEqual(said('warning', /allkeys-lru.*vanish/));
  await redis.config('SET', 'maxmemory-policy', 'noeviction');
  await redis.set('filler', 'x'.repeat(30_000_000));
  await redis.config('SET', 'maxmemory', '35000000');
  expect((await look())[1]).toContainEqual(said('warning', /of maxmemory 33\.4 MiB are used$/));
  await redis.replicaof('127.0.0.1', 1);
  expect(await look()).toEqual([1, expect.arrayContaining([said('problem', /a replica/)])]);
  const off = await examine({ ...settings, 'redis.enabled': false });
  expect(off.one('redis')).toEqual(said('skipped', /redis\.enabled is false/));
});
