/** The life and death of the embedded servers. Each test has servers of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest';
import { startPostgres, type EmbeddedPostgres } from '../../src/embedded/postgres.ts';
import {
  childrenOf,
  commandLine,
  isAlive,
  signalProcess,
} from '../../src/embedded/process-table.ts';
import { startRedis, type EmbeddedRedis } from '../../src/embedded/redis.ts';
import { AS_NOBODY } from '../../src/embedded/run-as.ts';
import { DEFAULT_CACHE_DIR, startStack } from '../../src/embedded/stack.ts';
import { createThrowawayFolder, type ThrowawayFolder } from '../../src/embedded/throwaway.ts';
import { createDatabase, psqlPath, runPsql, waitFor } from '../support/stack.ts';

const log = { info: () => {}, warn: () => {} };
const cacheDir = DEFAULT_CACHE_DIR;
const asRoot = process.getuid?.() === 0;

let folder: ThrowawayFolder;
beforeEach(async () => {
  folder = await createThrowawayFolder();
  // Runs last: what a test registers is undone in reverse.
  onTestFinished(() => folder.remove());
});

async function postgres(
  options: Partial<Parameters<typeof startPostgres>[0]> = {},
): Promise<EmbeddedPostgres> {
  const dataDirectory = join(folder.path, 'postgres');
  const server = await startPostgres({ cacheDir, dataDirectory, fast: true, log, ...options });
  onTestFinished(() => server.stop('immediate'));
  return server;
}

async function redis(options: { port?: number } = {}): Promise<EmbeddedRedis> {
  const directory = join(folder.path, 'redis');
  const server = await startRedis({ cacheDir, directory, log, ...options });
  onTestFinished(() => server.stop());
  return server;
}

function redisClient(server: EmbeddedRedis): Redis {
  const client = new Redis(server.url, { commandTimeout: 200, retryStrategy: () => 20 });
  // What matters is what a command says.
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

async function occupiedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Everything that runs in or for a folder, session processes of PostgreSQL included. */
async function processesOf(path: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const ours = await Promise.all(pids.map(async (pid) => (await commandLine(pid)).includes(path)));
  return pids.filter((_, index) => ours[index]);
}

/** Another Node process that starts servers in `folder` and prints their process ids. */
async function startInChild(
  atSigint = '',
): Promise<{ child: ChildProcess; supervisors: number[]; postgresPid: number; redisPid: number }> {
  const source = new URL('../../src/embedded/', import.meta.url).href;
  const script = `
    import { startPostgres } from '${source}postgres.ts';
    import { startRedis } from '${source}redis.ts';
    const log = { info() {}, warn() {} };
    const cacheDir = ${JSON.stringify(cacheDir)};
    const path = ${JSON.stringify(folder.path)};
    const postgres = await startPostgres({ cacheDir, dataDirectory: path + '/postgres', fast: true, log });
    const redis = await startRedis({ cacheDir, directory: path + '/redis', log });
    ${atSigint}
    setInterval(() => {}, 1000);
    console.log(JSON.stringify([postgres.pid, redis.pid]));
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = await once(createInterface(child.stdout), 'line');
  const [postgresPid = 0, redisPid = 0] = JSON.parse(String(line)) as number[];
  // What waits on the pipe goes first: at the end of its shell it would still end the server.
  const shells = await childrenOf(child.pid ?? 0);
  const grandchildren = (await Promise.all(shells.map(childrenOf))).flat();
  const servers = [postgresPid, redisPid];
  // A test that fails half-way must not leave what it made unsupervised.
  onTestFinished(async () => {
    for (const pid of await processesOf(folder.path)) {
      if (servers.includes(pid)) signalProcess(pid, 'SIGKILL');
    }
  });
  const supervisors = [...grandchildren, ...shells].filter((pid) => !servers.includes(pid));
  return { child, supervisors, postgresPid, redisPid };
}

async function killHard(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

describe('postgres', () => {
  test('has the settings that the schema counts on, and listens on loopback only', async () => {
    const server = await postgres();
    const db = await createDatabase({ serverUrl: server.url, timescale: false });
    const settings = `
      SELECT current_setting('server_encoding') AS encoding, datcollate AS collation,
        current_setting('listen_addresses') AS listen, current_setting('fsync') AS fsync,
        current_setting('synchronous_commit') AS commit,
        current_setting('server_version_num')::int / 10000 AS major
      FROM pg_database WHERE datname = current_database()`;
    expect(await db.query(settings)).toEqual([
      {
        encoding: 'UTF8',
        collation: 'C',
        listen: '127.0.0.1',
        fsync: 'off',
        commit: 'on',
        major: 17,
      },
    ]);
    await db.drop();
  });

  test('is durable unless it is told to be fast', async () => {
    const server = await postgres({ fast: false });
    const db = await createDatabase({ serverUrl: server.url, timescale: false });
    expect(await db.query('SHOW fsync')).toEqual([{ fsync: 'on' }]);
    await db.drop();
  });

  test.skipIf(inject('timescale') === undefined)('brings the TimescaleDB it names', async () => {
    const server = await postgres();
    const db = await createDatabase({ serverUrl: server.url, timescale: true });
    const sql = `SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'`;
    expect(await db.query(sql)).toEqual([{ extversion: server.timescale }]);
    await db.drop();
  });

  test.each(['stop', 'kill'] as const)(
    'restarts after %s: port and rows as before',
    async (how) => {
      const server = await postgres();
      const { pid, port } = server;
      const db = await createDatabase({ serverUrl: server.url, timescale: false });
      await db.query('CREATE TABLE kept AS SELECT 42 AS value');
      await server[how]();
      await expect(db.query('SELECT 1')).rejects.toThrow(/ECONNREFUSED|ECONNRESET|terminat/);
      await server.restart();
      expect(await db.query('SELECT value FROM kept')).toEqual([{ value: 42 }]);
      expect(server.port).toBe(port);
      expect(server.pid).not.toBe(pid);
      await db.drop();
    },
  );

  test('leaves no process behind, and stop may be called again', async () => {
    const server = await postgres();
    expect(await processesOf(server.dataDirectory)).toContain(server.pid);
    await server.stop();
    await server.stop();
    expect(await processesOf(server.dataDirectory)).toEqual([]);
  });

  test('refuses a taken port, and a folder with something else in it', async () => {
    const port = await occupiedPort();
    await expect(postgres({ port })).rejects.toMatchObject({ code: 'embedded_port_taken' });
    const dataDirectory = join(folder.path, 'documents');
    await mkdir(dataDirectory);
    await writeFile(join(dataDirectory, 'letter.txt'), 'Dear');
    await expect(postgres({ dataDirectory })).rejects.toMatchObject({
      code: 'embedded_initdb',
      message: expect.stringContaining('choose another folder') as string,
    });
  });

  test.skipIf(psqlPath === undefined)('answers psql, and psql names the error', async () => {
    const server = await postgres();
    expect(await runPsql(server.url, 'SELECT 1, NULL UNION SELECT 2, 3 ORDER BY 1')).toBe(
      '1|\n2|3',
    );
    await expect(runPsql(server.url, 'SELECT oops')).rejects.toThrow(
      'column "oops" does not exist',
    );
  });

  test('two at once on one data directory: the second is told who has it', async () => {
    const server = await postgres();
    await expect(postgres()).rejects.toMatchObject({
      code: 'embedded_in_use',
      message: expect.stringContaining(`process ${process.pid}`) as string,
    });
    expect(isAlive(server.pid)).toBe(true);
  });

  test('two new ones at once on one data directory: one starts', async () => {
    const both = await Promise.allSettled([postgres(), postgres()]);
    expect(both.map((one) => one.status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  test('a lock file with the id of some other living process is stale', async () => {
    const server = await postgres();
    await server.stop();
    const lockFile = join(server.dataDirectory, 'postmaster.pid');
    await writeFile(lockFile, `${process.ppid}\n${server.dataDirectory}\n0\n${server.port}\n\n\n`);
    await server.restart();
    expect(await readFile(lockFile, 'utf8')).toMatch(new RegExp(`^${server.pid}\n`));
  });

  test.runIf(asRoot)('runs as nobody where user namespaces are refused', async () => {
    const server = await postgres({ runAs: AS_NOBODY });
    expect((await stat(`/proc/${server.pid}`)).uid).toBe(AS_NOBODY.uid);
  });
});

describe('redis', () => {
  test('keeps its port and forgets its keys', async () => {
    const server = await redis();
    const { pid, port } = server;
    const client = redisClient(server);
    await client.set('key', 'value');
    await server.restart();
    const forgotten = async () => (await client.exists('key').catch(() => 1)) === 0;
    await waitFor(forgotten, { what: 'the empty server' });
    expect(server.port).toBe(port);
    expect(server.pid).not.toBe(pid);
    expect(server.kind).toMatch(/^(valkey|redis) \d+\.\d+\.\d+ (on PATH|from Debian)$/);
  });

  test('pauses and resumes, and stops from a pause', async () => {
    const server = await redis();
    const client = redisClient(server);
    expect(await client.ping()).toBe('PONG');
    server.pause();
    await expect(client.ping()).rejects.toThrow('Command timed out');
    server.resume();
    expect(await client.ping()).toBe('PONG');
    server.pause();
    await server.stop();
    expect(await processesOf(join(folder.path, 'redis'))).toEqual([]);
  });

  test('two at once in one folder: the second is told who has it', async () => {
    const server = await redis();
    await expect(redis()).rejects.toMatchObject({
      code: 'embedded_in_use',
      message: expect.stringContaining(`process ${process.pid}`) as string,
    });
    expect(isAlive(server.pid)).toBe(true);
  });

  test('refuses a taken port', async () => {
    const port = await occupiedPort();
    await expect(redis({ port })).rejects.toMatchObject({ code: 'embedded_port_taken' });
  });
});

describe('when the owner', () => {
  test('is killed, its servers end by themselves', async () => {
    const { child, supervisors, postgresPid, redisPid } = await startInChild();
    await killHard(child);
    const alive = () => [postgresPid, redisPid, ...supervisors].filter(isAlive);
    await waitFor(() => alive().length === 0, { what: 'the end of servers and supervisors' });
    expect(await processesOf(folder.path)).toHaveLength(1); // the folder's keeper
  });

  test('and the supervisors are killed, the next start ends the orphans', async () => {
    const { child, supervisors, postgresPid, redisPid } = await startInChild();
    for (const pid of supervisors) process.kill(pid, 'SIGKILL');
    await killHard(child);
    expect([isAlive(postgresPid), isAlive(redisPid)]).toEqual([true, true]);

    const [server] = await Promise.all([postgres(), redis()]);
    expect([isAlive(postgresPid), isAlive(redisPid)]).toEqual([false, false]);
    expect(server.pid).not.toBe(postgresPid);
  });

  test('gets Ctrl-C from a terminal, its servers run on until it has finished', async () => {
    const { child, postgresPid, redisPid } = await startInChild(`
      process.once('SIGINT', async () => {
        const { Client } = await import('${import.meta.resolve('pg')}');
        const client = new Client({ connectionString: postgres.url });
        await client.connect();
        await client.query('SELECT 1');
        await client.end();
        await redis.stop();
        await postgres.stop();
        process.exit(7);
      });`);
    // A terminal signals the whole group.
    process.kill(-(child.pid ?? 0), 'SIGINT');
    const [code] = await once(child, 'exit');
    expect(code).toBe(7);
    expect([isAlive(postgresPid), isAlive(redisPid)]).toEqual([false, false]);
  });
});

describe('stack', () => {
  test('starts both in a throwaway folder, and leaves nothing', async () => {
    const stack = await startStack({ fast: true, log });
    const db = await createDatabase({ serverUrl: stack.databaseUrl, timescale: false });
    const [row] = await db.query<{ data_directory: string }>('SHOW data_directory');
    await db.drop();
    await stack.stop();
    const directory = row?.data_directory ?? '';
    expect(await processesOf(directory)).toEqual([]);
    await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('uses given URLs as they are', async () => {
    const given = { databaseUrl: 'postgres://db.invalid/x', redisUrl: 'redis://cache.invalid' };
    const stack = await startStack({ ...given, log });
    expect(stack).toMatchObject(given);
    await stack.stop();
  });
});
