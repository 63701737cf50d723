/**
 * What docker-compose.yml starts, as far as it goes without Docker: Compose reads the file, the roles
 * are made as the image of the database would, migrations and a daemon log in as they will, and the
 * commands of the Redis service are run.
 */
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { run } from '../../src/embedded/run.ts';
import { runHyperfeed, runProgram } from '../support/daemon.ts';
import { ownPostgres } from '../support/own-servers.ts';
import { psqlPath, runPsql } from '../support/stack.ts';

const ROOT = resolve(import.meta.dirname, '../..');

/** `docker compose`, or the same by the name of its own; version 1 knows no start_interval. */
async function findCompose(): Promise<readonly string[] | undefined> {
  for (const command of [['docker', 'compose'], ['docker-compose']]) {
    const version = await run([...command, 'version', '--short']).catch(() => '');
    if (Number.parseInt(version, 10) >= 2) return command;
  }
  return undefined;
}

const compose = await findCompose();
if (!compose) console.warn('Docker Compose 2 is not installed: `docker compose config` is skipped');

describe.skipIf(!compose)('docker compose config', () => {
  const config = async (...args: string[]) => {
    const [program = '', ...first] = compose ?? [];
    const flags = ['--project-directory', ROOT, '--env-file', join(ROOT, '.env.example')];
    const files = ['--file', join(ROOT, 'docker-compose.yml')];
    return runProgram(program, [...first, ...files, ...flags, ...args]);
  };

  test('it is valid, whatever is chosen', async () => {
    const all = await config('--profile', '*', 'config', '--quiet');
    expect([all.code, all.stderr]).toEqual([0, []]);
  });

  test('what `docker compose up` starts by default', async () => {
    const { stdout } = await config('config', '--services');
    expect(stdout.toSorted()).toEqual(['binance', 'database', 'migrate', 'redis']);
    const kraken = await config('--profile', 'kraken', 'config', '--services');
    expect(kraken.stdout).toContain('kraken');
    const standby = await config('--profile', 'standby', 'config', '--services');
    expect(standby.stdout).toContain('binance-standby');
  });
});

test.skipIf(!psqlPath)(
  'roles: the daemon owns its databases and nothing else, dashboards see no account',
  async () => {
    const server = await ownPostgres();

    const at = new URL(server.url);
    const made = await runProgram('sh', [join(ROOT, 'ops/postgres/10-roles.sh')], {
      env: {
        POSTGRES_USER: at.username,
        POSTGRES_DB: 'postgres',
        DATABASE_PASSWORD: "it's",
        GRAFANA_DATABASE_PASSWORD: 'reads',
        PGHOST: at.hostname,
        PGPORT: at.port,
        PGPASSWORD: at.password,
        // In the image the extension is always there.
      },
    });
    if (server.timescale === undefined) {
      expect(made.stderr.join('\n')).toContain('timescaledb');
      return;
    }
    expect([made.code, made.stderr]).toEqual([0, []]);

    const login = (user: string, password: string, database: string) =>
      Object.assign(new URL(server.url), { username: user, password, pathname: `/${database}` })
        .href;
    for (const database of ['hyperfeed', 'hyperfeed_demo']) {
      const url = login('hyperfeed', "it's", database);
      const migrated = await runHyperfeed(['migrate'], { env: { DATABASE_URL: url } });
      expect([migrated.code, migrated.stdout[0]]).toEqual([
        0,
        expect.stringContaining('TimescaleDB'),
      ]);
      const status = await runHyperfeed(['migrate', 'status'], { env: { DATABASE_URL: url } });
      expect([status.code, status.stdout.filter((line) => line.startsWith('!'))]).toEqual([0, []]);
      expect(
        await runPsql(url, 'SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = user'),
      ).toBe('f');
      const reader = login('grafana', 'reads', database);
      for (const table of ['trades', 'order_book', 'market_candles', 'system_logs', 'symbols']) {
        expect(await runPsql(reader, `SELECT count(*) FROM ${table}`)).toBe('0');
      }
      for (const table of ['users', 'user_sessions', 'api_keys', 'exchange_connections']) {
        await expect(runPsql(reader, `SELECT count(*) FROM ${table}`)).rejects.toThrow(
          'permission denied',
        );
      }
      await expect(runPsql(reader, 'CREATE TABLE mine ()')).rejects.toThrow(
        /read-only|permission denied/,
      );
    }
    // Who is not named may not come in.
    await runPsql(server.url, 'CREATE ROLE stranger LOGIN');
    await expect(runPsql(login('stranger', '', 'hyperfeed'), 'SELECT')).rejects.toThrow(
      'permission denied',
    );
  },
);
