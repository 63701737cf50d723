/** Two daemons on one volume, in network namespaces of their own, as two containers are. */
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { environmentOf, type Settings, spawnProgram, temporaryFolder } from '../support/daemon.ts';
import { waitFor } from '../support/stack.ts';

const BIN = resolve(import.meta.dirname, '../../bin/hyperfeed.js');
const isolated = spawnSync('unshare', ['--net', 'true']).status === 0;
if (!isolated) console.warn('\n*** no network namespaces here (unshare --net): one is used ***\n');

function runIsolated(settings: Settings) {
  const command = [process.execPath, BIN, 'run'];
  const [program = '', ...args] = isolated ? ['unshare', '--net', ...command] : command;
  return spawnProgram(program, args, { env: environmentOf(settings) });
}

test('the second one ends, and names the first; the kernel frees the lock of a killed one', async () => {
  const directory = await temporaryFolder();
  // Neither reaches a database, an exchange or a Redis: the spool comes first.
  const settings: Settings = {
    'spool.directory': directory,
    'database.url': 'postgres://nobody@127.0.0.1:1/none',
    'redis.enabled': false,
    'http.enabled': false,
  };
  const pid = () => readFile(join(directory, 'binance/pid'), 'utf8').catch(() => '');
  const first = runIsolated(settings);
  await waitFor(async () => (await pid()).includes(' on '), { what: 'the first one to hold it' });
  expect(await pid()).toBe(`${first.pid} on ${hostname()}\n`);

  const second = runIsolated(settings);
  expect(await second.ended).toEqual({ code: 1, signal: null });
  expect(second.stderr.join('\n')).toMatch(
    new RegExp(`spool .*/binance is in use by process ${first.pid} on ${hostname()}; stop it`),
  );
  expect(first.hasEnded()).toBe(false);

  first.kill('SIGKILL');
  await first.ended;
  const third = runIsolated(settings);
  await waitFor(async () => (await pid()).startsWith(`${third.pid} `), { what: 'the third one' });
  expect(third.hasEnded()).toBe(false);
});
