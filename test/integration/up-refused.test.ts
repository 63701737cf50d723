/** `up` of an exchange that is not to be had: why, and nothing that it started is left. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runUp } from '../../src/commands/up.ts';
import { createThrowawayFolder } from '../../src/embedded/throwaway.ts';
import { createLogger } from '../../src/log.ts';
import { configOf, runHyperfeed } from '../support/daemon.ts';
import { freePort } from '../support/stack.ts';

test('one that cannot be reached: says so once the servers that were starting are stopped', async () => {
  const folder = await createThrowawayFolder();
  onTestFinished(() => folder.remove());
  const restUrl = `http://127.0.0.1:${await freePort()}`;
  const running = runUp({
    config: configOf({ exchange: 'kraken', 'connection.restUrl': restUrl, 'http.port': 0 }),
    isSet: () => false,
    simulated: false,
    createLogger: () => createLogger({ level: 'fatal' }),
    write: () => undefined,
    isTerminal: false,
    dataDir: folder.path,
    signal: new AbortController().signal,
  });
  await expect(running).rejects.toMatchObject({
    code: 'unreachable',
    message: expect.stringMatching(
      /^kraken cannot be reached: .*; without any exchange: /,
    ) as string,
  });
  // Of a PostgreSQL that was started, and has stopped.
  expect(existsSync(join(folder.path, 'postgres/postmaster.opts'))).toBe(true);
  expect(existsSync(join(folder.path, 'postgres/postmaster.pid'))).toBe(false);
});

test('--simulated of one that has no simulation: exit 2', async () => {
  const { code, stdout, stderr } = await runHyperfeed(['up', '--simulated', '-e', 'okx']);
  expect([code, stdout, stderr.join()]).toEqual([2, [], expect.stringContaining('binance')]);
});
