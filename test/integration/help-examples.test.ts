/** The examples of every command's help, run as they stand there, with a simulated exchange. */
import { resolve } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  environmentOf,
  freshDatabase,
  hyperfeed,
  runHyperfeed,
  simulate,
  spawnDaemon,
  temporaryFolder,
} from '../support/daemon.ts';
import { examplesOf, leaves, pathOf, quietProgram } from '../support/help.ts';
import { createMigrated } from '../support/schema.ts';
import { redisDatabase, waitFor } from '../support/stack.ts';

const ROOT = resolve(import.meta.dirname, '../..');

const examples = new Map(
  leaves(quietProgram(() => undefined)).map((command) => [pathOf(command), examplesOf(command)]),
);

/** Of one command, in order; a word may be replaced by what there is in a test. */
async function runAll(
  command: string,
  env: Record<string, string>,
  cwd = ROOT,
  replace: Readonly<Record<string, string>> = {},
) {
  const results = [];
  for (const { args } of examples.get(command) ?? []) {
    const line = args.map((word) => replace[word] ?? word);
    results.push({ line: line.join(' '), ...(await runHyperfeed(line, { env, cwd })) });
  }
  expect(results.length).toBeGreaterThan(1);
  return results;
}

async function database() {
  const migrated = await createMigrated(true);
  onTestFinished(() => migrated.drop());
  return migrated;
}

describe('without an exchange', () => {
  test.each(['migrate', 'migrate status', 'retention run', 'gaps list', 'quarantine list'])(
    '%s',
    async (command) => {
      const { url } = command === 'migrate' ? await freshDatabase() : await database();
      for (const { line, code, stdout, stderr } of await runAll(command, { DATABASE_URL: url })) {
        expect([line, code, stderr]).toEqual([line, 0, []]);
        if (line.includes('--json')) for (const one of stdout) JSON.parse(one);
        else expect(stdout.join('')).not.toBe('');
      }
    },
  );

  test('export', async () => {
    const { url } = await database();
    const results = await runAll('export', { DATABASE_URL: url }, await temporaryFolder());
    for (const { line, code } of results) expect([line, code]).toEqual([line, 0]);
  });

  test.each(['config check', 'config show', 'completion'])('%s', async (command) => {
    for (const { line, code, stdout, stderr } of await runAll(command, {})) {
      expect([line, code, stderr]).toEqual([line, 0, []]);
      expect(stdout.join('')).not.toBe('');
    }
  });
});

describe('with a simulated exchange', () => {
  test('record, until Ctrl-C and for some seconds, and replay', async () => {
    const simulation = await simulate();
    const [untilSignal, forSeconds] = examples.get('record') ?? [];
    const env = environmentOf(simulation.settings);
    const cwd = await temporaryFolder();
    // The simulation speaks as Binance does.
    const words = { kraken: 'binance', 'BTC/USD': 'BTC/USDT', '60': '1' } as const;
    const binance = (args: readonly string[] = []) =>
      args.map((one) => (Object.hasOwn(words, one) ? words[one as keyof typeof words] : one));
    const child = hyperfeed(binance(untilSignal?.args), { env, cwd });
    await simulation.subscribed(3);
    const { trades } = simulation.counters();
    await waitFor(() => simulation.counters().trades > trades + 20, { what: 'trades' });
    child.kill('SIGINT');
    expect(await child.ended).toEqual({ code: 0, signal: null });
    const ended = await runHyperfeed(binance(forSeconds?.args), { env, cwd });
    expect([ended.code, ended.stderr.join()]).toEqual([0, expect.stringMatching(/^\d+ lines in/)]);

    const { url } = await database();
    const store = {
      DATABASE_URL: url,
      REDIS_URL: await redisDatabase(),
      ...environmentOf({ 'spool.directory': await temporaryFolder() }),
    };
    const [all, books, stored] = await runAll('replay', store, cwd, words);
    const typesOf = (lines: readonly string[] = []) =>
      new Set(lines.map((line) => (JSON.parse(line) as { type: string }).type));
    expect(typesOf(all?.stdout)).toContain('trade');
    expect(typesOf(books?.stdout)).toEqual(new Set(['order_book']));
    expect([all, books, stored].map((one) => one?.code)).toEqual([0, 0, 0]);
  });

  test('symbols, doctor, status and run', async () => {
    const { settings } = await simulate();
    const { url } = await database();
    const own = { ...settings, 'database.url': url, 'redis.url': await redisDatabase() };
    const spool = { 'spool.directory': await temporaryFolder() };
    const daemon = await spawnDaemon({ ...own, ...spool });
    await daemon.says('running');
    const { port } = daemon.log().find(({ msg }) => msg === 'running') as { port?: number };
    const here = `http://127.0.0.1:${port}`;
    const env = { ...environmentOf({ ...own, ...spool }), HYPERFEED__HTTP__PORT: String(port) };

    const words = { kraken: 'binance', 'ccxt:gate': 'binance', EUR: 'USDT' };
    for (const { line, code } of await runAll('symbols', env, ROOT, words)) {
      expect([line, code]).toEqual([line, 0]);
    }
    const files = { 'config/kraken.yaml': 'config/binance.yaml' };
    for (const { line, code, stdout } of await runAll('doctor', env, ROOT, files)) {
      expect([line, code, stdout]).toEqual([line, 0, expect.anything()]);
    }
    for (const { args } of examples.get('status') ?? []) {
      const line = args.map((word) => (word.startsWith('http') ? here : word));
      const child = hyperfeed(line, { env });
      await waitFor(() => child.stdout.length > 0, { what: `hyperfeed ${line.join(' ')}` });
      child.kill('SIGINT');
      expect((await child.ended).signal).toBe(null);
    }
    daemon.kill('SIGTERM');
    await daemon.ended;
    const [run] = examples.get('run') ?? [];
    const again = hyperfeed([...(run?.args ?? [])], { env });
    await waitFor(() => again.stdout.some((line) => line.includes('"msg":"running"')), {
      what: 'the daemon of the example to run',
      timeoutMs: 20_000,
    });
    again.kill('SIGTERM');
    expect(await again.ended).toEqual({ code: 0, signal: null });
  });
});
