/** Secrets are planted everywhere, everything goes wrong, and none of them may be seen anywhere. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import {
  environmentOf,
  hyperfeed,
  runHyperfeed,
  simulate,
  temporaryFolder,
  type TestProcess,
} from '../support/daemon.ts';
import { ownPostgres } from '../support/own-servers.ts';
import { freePort, waitFor } from '../support/stack.ts';
import { startValkey } from '../support/valkey.ts';

/** Each of them is looked for, in the clear and as URLs and Base64 have it. */
const CANARIES = {
  database: 'canary-database-p%40ss',
  owner: 'canary-owner-pass',
  redis: 'canary-redis-p%2Fss',
  sentinel: 'canary-sentinel-pass',
  ws: 'canary-ws-key',
  rest: 'canary-rest-key',
  token: 'canary-http-token',
};
const SPELLINGS = Object.values(CANARIES).flatMap((canary) => {
  const plain = decodeURIComponent(canary);
  return [canary, plain, Buffer.from(plain).toString('base64').slice(0, -4), 'canary'];
});

/** What was looked through, so that nothing is found clean because it is empty. */
function createSearch() {
  const places = new Map<string, number>();
  return {
    look(place: string, text: string): void {
      places.set(place, (places.get(place) ?? 0) + text.length);
      for (const canary of SPELLINGS) {
        const at = text.indexOf(canary);
        if (at !== -1) throw new Error(`${place}: ${text.slice(Math.max(0, at - 200), at + 60)}`);
      }
    },
    places: () => [...places].filter(([, length]) => length > 0).map(([place]) => place),
  };
}

async function setup() {
  const postgres = await ownPostgres();
  const admin = new Client({ connectionString: postgres.url });
  await admin.connect();
  admin.on('error', () => {});
  onTestFinished(() => admin.end().catch(() => {}));
  await admin.query(`CREATE ROLE canary LOGIN SUPERUSER PASSWORD 'canary-database-p@ss'`);
  const redisPassword = decodeURIComponent(CANARIES.redis);
  const redis = await startValkey({
    settings: [`requirepass "${redisPassword}"`],
    clientOptions: { password: redisPassword },
  });
  const simulation = await simulate({ symbols: ['BTC/USDT'] });
  const folder = await temporaryFolder();
  const secretFile = async (name: string, text: string) => {
    await writeFile(join(folder, name), `${text}\n`, { mode: 0o600 });
    return join(folder, name);
  };
  const at = (user: string, password: string) =>
    postgres.url.replace('postgres@', `${user}:${password}@`);
  const settings = {
    'http.port': await freePort(),
    'log.level': 'trace',
    'log.toDatabase': true,
    'spool.directory': join(folder, 'spool'),
    symbols: ['BTC/USDT'],
    'connection.wsUrl': `${simulation.exchange.wsUrl}?apiKey=${CANARIES.ws}`,
    'connection.restUrl': `${simulation.exchange.restUrl}?apiKey=${CANARIES.rest}`,
  };
  const env = {
    ...environmentOf(settings),
    DATABASE_URL_FILE: await secretFile('database', at('postgres', CANARIES.database)),
    DATABASE_OWNER_URL: at('postgres', CANARIES.owner),
    REDIS_URL: `redis://default:${CANARIES.redis}@127.0.0.1:${redis.port}`,
    HTTP_TOKEN_FILE: await secretFile('token', CANARIES.token),
    HYPERFEED__REDIS__SENTINEL_PASSWORD_FILE: await secretFile('sentinel', CANARIES.sentinel),
  };
  return { admin, postgres, redis, simulation, folder, env, port: settings['http.port'], at };
}

type Scene = Awaited<ReturnType<typeof setup>>;
type Search = ReturnType<typeof createSearch>;

async function lookAtHttp({ port }: Scene, search: Search): Promise<void> {
  for (const path of ['/', '/livez', '/readyz', '/health', '/metrics', '/status']) {
    for (const authorization of ['', `Bearer ${CANARIES.token}`]) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        headers: { authorization },
      });
      search.look(
        `http ${path}`,
        `${JSON.stringify([...response.headers])}${await response.text()}`,
      );
    }
  }
}

async function lookAtServers({ admin, redis }: Scene, search: Search): Promise<void> {
  const { rows: sessions } = await admin.query(
    `SELECT * FROM pg_stat_activity WHERE application_name LIKE 'hyperfeed%'`,
  );
  search.look('pg_stat_activity', sessions.length > 0 ? JSON.stringify(sessions) : '');
  search.look('redis clients', String(await redis.client.client('LIST')));
  const { rows: logs } = await admin.query('SELECT * FROM system_logs');
  search.look('system_logs', logs.length > 0 ? JSON.stringify(logs) : '');
}

async function lookAtProcess(child: TestProcess, search: Search): Promise<void> {
  search.look('argv', await readFile(`/proc/${child.pid}/cmdline`, 'utf8'));
  search.look('process title', await readFile(`/proc/${child.pid}/comm`, 'utf8'));
}

async function lookAtOutput(child: TestProcess, folder: string, search: Search): Promise<void> {
  search.look('stdout', child.stdout.join('\n'));
  search.look('stderr', child.stderr.join('\n'));
  const files = await readdir(join(folder, 'spool'), { recursive: true, withFileTypes: true });
  for (const file of files.filter((entry) => entry.isFile())) {
    search.look('spool', await readFile(join(file.parentPath, file.name), 'latin1'));
  }
}

const says = (child: TestProcess, text: string) =>
  waitFor(() => child.stdout.some((line) => line.includes(text)), {
    what: `the daemon to say ${text}`,
    timeoutMs: 20_000,
  });

test('a daemon through faults of everything, to its crash', { timeout: 120_000 }, async () => {
  const scene = await setup();
  const { postgres, redis, simulation, folder, admin } = scene;
  const search = createSearch();
  // It dies of an error that holds what it should not.
  const bomb = join(folder, 'bomb.mjs');
  await writeFile(
    bomb,
    `process.on('SIGUSR2', () => { throw Object.assign(
       new TypeError('cannot reach ' + process.env.REDIS_URL + ' or ${scene.at('u', CANARIES.owner)}'),
       { config: process.env, command: { args: [process.env.REDIS_URL] }, detail: 'canary' }); });`,
  );
  const child = hyperfeed(['run'], { env: { ...scene.env, NODE_OPTIONS: `--import=${bomb}` } });
  await says(child, '"storing"');
  await says(child, 'redis connected');
  await says(child, '"mirroring"');
  await lookAtHttp(scene, search);
  await lookAtServers(scene, search);
  await lookAtProcess(child, search);

  // The exchange: cut, then gone.
  simulation.exchange.controls.dropConnections();
  await says(child, 'connection ended');
  // Redis: another password, then gone.
  await redis.client.config('SET', 'requirepass', 'another');
  await redis.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await says(child, 'WRONGPASS');
  await lookAtHttp(scene, search);
  await redis.kill();
  await says(child, 'ECONNREFUSED');
  // PostgreSQL: sessions cut, another password, then gone.
  await admin.query(
    `COPY (VALUES ('host all all all scram-sha-256')) TO PROGRAM 'cat > pg_hba.conf'`,
  );
  await admin.query(`ALTER ROLE postgres PASSWORD 'another'`);
  await waitFor(async () => (await admin.query('SELECT FROM system_logs')).rowCount, {
    what: 'warnings in the database',
  });
  await lookAtServers({ ...scene, redis: { ...redis, client: noClient } }, search);
  await admin.query('SELECT pg_reload_conf()');
  await admin.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()',
  );
  await says(child, '28P01');
  await lookAtHttp(scene, search);
  await postgres.stop('immediate');
  await says(child, 'storing interrupted');
  await lookAtHttp(scene, search);

  child.kill('SIGUSR2');
  expect((await child.ended).code).toBe(70);
  expect(child.stderr.join('')).toContain('crashed');
  // The addresses were said, without their secrets; and what is planted is found.
  expect(child.stdout.join('')).toContain('?***');
  expect(() => createSearch().look('', `x${CANARIES.ws}`)).toThrow(CANARIES.ws);
  await lookAtOutput(child, folder, search);
  expect(search.places().toSorted()).toEqual(
    [
      'argv',
      'http /',
      'http /health',
      'http /livez',
      'http /metrics',
      'http /readyz',
      'http /status',
      'pg_stat_activity',
      'process title',
      'redis clients',
      'spool',
      'stderr',
      'stdout',
      'system_logs',
    ].toSorted(),
  );
});

const noClient = { client: async () => '' } as unknown as Scene['redis']['client'];

test(
  'commands, wrong configurations, and servers that are not there',
  { timeout: 60_000 },
  async () => {
    const search = createSearch();
    const folder = await temporaryFolder();
    const nowhere = `127.0.0.1:${await freePort()}`;
    const env = {
      DATABASE_URL: `postgres://u:${CANARIES.database}@${nowhere}/x`,
      REDIS_URL: `redis://:${CANARIES.redis}@${nowhere}`,
      HTTP_TOKEN: CANARIES.token,
      HYPERFEED__REDIS__SENTINEL_PASSWORD: CANARIES.sentinel,
      HYPERFEED__CONNECTION__WS_URL: `ws://${nowhere}?apiKey=${CANARIES.ws}`,
      HYPERFEED__CONNECTION__REST_URL: `http://${nowhere}?apiKey=${CANARIES.rest}`,
      HYPERFEED__SPOOL__DIRECTORY: join(folder, 'spool'),
    };
    const look = async (args: readonly string[], changed: Record<string, string> = {}) => {
      const { stdout, stderr } = await runHyperfeed(args, { env: { ...env, ...changed } });
      const said = [...stdout, ...stderr].join('\n');
      expect([args, said]).not.toEqual([args, '']);
      search.look(args.join(' '), said);
      return said;
    };
    expect(await look(['config', 'show'])).toContain('http.token = ***');
    await look(['config', 'check']);
    for (const wrong of [
      { DATABASE_URL: `mysql://u:${CANARIES.database}@h` },
      { DATABASE_URL: `postgres://u:${CANARIES.database}@far.example.org/x` },
      { DATABASE_URL: `${env.DATABASE_URL}?sslmode=verify-full&sslpassword=${CANARIES.owner}` },
      { DATABASE_URL: `${env.DATABASE_URL}?sslmode=${CANARIES.owner}` },
      { DATABASE_URL_FILE: '/nonexistent' },
      { REDIS_URL: `redis://:${CANARIES.redis}@far.example.org` },
      { REDIS_URL: `redis+sentinel://:${CANARIES.redis}@h` },
      { REDIS_URL: `redis+cluster://:${CANARIES.redis}@h/1` },
      { REDIS_URL: `:${CANARIES.redis}` },
      { HTTP_TOKEN: 'canary' },
      { HYPERFEED__CONNECTION__WS_URL: `ftp://x?${CANARIES.ws}` },
      { HYPERFEED__CONNECTION__REST_URL: `http://far.example.org?${CANARIES.rest}` },
    ]) {
      await look(['run'], wrong);
    }
    for (const args of [
      ['migrate'],
      ['migrate', 'status'],
      ['gaps', 'list'],
      ['retention', 'run'],
      ['symbols'],
      ['--help'],
      ['run', '--nonsense'],
    ]) {
      await look(args);
    }
    const recording = join(folder, 'recording.jsonl');
    const simulation = await simulate({ symbols: ['BTC/USDT'] });
    await look(['record', '--symbols', 'BTC/USDT', '--seconds', '2', '--out', recording], {
      HYPERFEED__CONNECTION__WS_URL: `${simulation.exchange.wsUrl}?apiKey=${CANARIES.ws}`,
      HYPERFEED__CONNECTION__REST_URL: `${simulation.exchange.restUrl}?apiKey=${CANARIES.rest}`,
    });
    const recorded = await readFile(recording, 'utf8');
    expect(recorded).toContain('"dir":"http"');
    search.look('recording', recorded);
  },
);
