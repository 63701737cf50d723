/** The commands, as a user runs them: what they print, where, and how they end. */
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runUp } from '../../src/commands/up.ts';
import { createThrowawayFolder } from '../../src/embedded/throwaway.ts';
import { createLogger } from '../../src/log.ts';
import {
  configOf,
  environmentOf,
  freshDatabase,
  hyperfeed,
  rowsOf,
  runHyperfeed,
  simulate,
  spawnDaemon,
  storedTrades,
  temporaryFolder,
} from '../support/daemon.ts';
import { redisDatabase, waitFor } from '../support/stack.ts';

async function fileOf(text: string, name = 'mine.yaml'): Promise<string> {
  const file = join(await temporaryFolder(), name);
  await writeFile(file, text);
  return file;
}

describe('configuration', () => {
  test('every mistake at once, each with its place; exit 2', async () => {
    const file = await fileOf('exchange: binance\nsymbls: [BTC/USDT]\nspool:\n  groupMs: 0\n');
    const { code, stdout, stderr } = await runHyperfeed(['config', 'check', '--config', file], {
      env: { HYPERFEED__HTTP__PORT: '70000' },
    });
    expect([code, stdout]).toEqual([2, []]);
    const said = stderr.join('\n');
    expect(said).toContain(`${file}:2:1: symbls is not a key; did you mean symbols?`);
    expect(said).toContain(`${file}:4:`);
    expect(said).toContain('spool.groupMs must be at least 1, not 0');
    expect(said).toContain('env HYPERFEED__HTTP__PORT: http.port must be at most 65535, not 70000');
  });

  test('run with a file that is not there, or without a database: exit 2', async () => {
    const missing = await runHyperfeed(['run', '--config', '/nowhere.yaml']);
    expect([missing.code, missing.stderr.join()]).toEqual([
      2,
      expect.stringContaining('/nowhere.yaml'),
    ]);
    const without = await runHyperfeed(['run']);
    expect([without.code, without.stderr.join()]).toEqual([
      2,
      expect.stringContaining('DATABASE_URL'),
    ]);
    expect((await runHyperfeed(['run', '--no-such-flag'])).code).toBe(2);
  });

  test('show says where each value comes from, and no secret', async () => {
    const file = await fileOf('symbols: [ETH/USDT]\n');
    const args = ['config', 'show', '--config', file, '--channels', 'trades'];
    const { code, stdout } = await runHyperfeed(args, {
      env: { DATABASE_URL: 'postgres://me:canary@db:5432/x?sslkey=canary' },
    });
    expect(code).toBe(0);
    expect(stdout).toContain(`symbols = ETH/USDT  (from ${file}:1)`);
    expect(stdout).toContain('channels = trades  (from flag)');
    expect(stdout.find((line) => line.startsWith('database.url'))).toContain('env DATABASE_URL');
    expect(stdout.join()).not.toContain('canary');
  });
});

test('with --json errors are JSON, on the standard error; exit codes stay', async () => {
  const usage = await runHyperfeed(['migrate', 'status', '--json']);
  expect([usage.code, usage.stdout]).toEqual([2, []]);
  expect(JSON.parse(usage.stderr.join())).toEqual({
    error: { code: 'no_database', message: expect.stringContaining('DATABASE_URL') as string },
  });
  const env = { DATABASE_URL: 'postgres://me:canary@127.0.0.1:1/x' };
  const failed = await runHyperfeed(['gaps', 'list', '--json'], { env });
  expect([failed.code, failed.stderr.join()]).toEqual([1, expect.stringMatching(/^\{"error":/)]);
  expect(failed.stderr.join()).toContain('ECONNREFUSED');
  expect(failed.stderr.join()).not.toContain('canary');
});

test('a mistyped command or option: the nearest, exit 2', async () => {
  for (const [args, meant] of [
    [['statsu'], 'status'],
    [['config', 'chek'], 'check'],
    [['up', '--simulatd'], '--simulated'],
  ] as const) {
    const { code, stderr } = await runHyperfeed(args);
    expect([code, stderr.join()]).toEqual([2, expect.stringContaining(`Did you mean ${meant}?`)]);
  }
});

test('migrate: --dry-run changes nothing, then it runs, then status is satisfied', async () => {
  const database = await freshDatabase();
  const env = { DATABASE_URL: database.url };
  const tables = async () =>
    (await database.query(`SELECT FROM pg_tables WHERE schemaname = 'public'`)).length;
  const dry = await runHyperfeed(['migrate', '--dry-run'], { env });
  expect(dry.code).toBe(0);
  expect(dry.stdout.join('\n')).toContain('CREATE TABLE trades');
  expect(await tables()).toBe(0);
  expect((await runHyperfeed(['migrate', 'status'], { env })).code).toBe(1);
  const migrated = await runHyperfeed(['migrate', '--json'], { env });
  expect(migrated.code).toBe(0);
  expect(JSON.parse(migrated.stdout.join())).toMatchObject({
    applied: expect.arrayContaining(['0001_engine']) as string[],
  });
  expect(await tables()).toBeGreaterThan(10);
  const status = await runHyperfeed(['migrate', 'status'], { env });
  expect([status.code, status.stdout.join('\n')]).toEqual([
    0,
    expect.stringMatching(/0003_market_data +applied/),
  ]);
});

test('run on a database that a newer version migrated: exit 3, and says so', async () => {
  const simulation = await simulate();
  const database = await freshDatabase();
  await runHyperfeed(['migrate'], { env: { DATABASE_URL: database.url } });
  await database.query(
    `INSERT INTO hyperfeed_migrations (name, run_on) VALUES ('9999_later', now())`,
  );
  const daemon = await spawnDaemon({ ...simulation.settings, 'database.url': database.url });
  expect(await daemon.ended).toEqual({ code: 3, signal: null });
  expect(daemon.log().at(-1)).toMatchObject({
    level: 'fatal',
    err: { code: 'schema_ahead', message: expect.stringContaining('9999_later') as string },
  });
});

test('run on a port that is taken, or a spool that is in use: exit 1, and which', async () => {
  const simulation = await simulate();
  const database = await freshDatabase();
  const settings = { ...simulation.settings, 'database.url': database.url };
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const second = await spawnDaemon({ ...settings, 'http.port': port });
  expect(await second.ended).toEqual({ code: 1, signal: null });
  expect(second.stderr.join()).toContain(String(port));

  const directory = await temporaryFolder();
  const first = await spawnDaemon({ ...settings, 'spool.directory': directory });
  await first.says('running');
  const third = await spawnDaemon({ ...settings, 'spool.directory': directory });
  expect(await third.ended).toEqual({ code: 1, signal: null });
  expect(third.stderr.join()).toContain(`in use by process ${first.pid}`);
});

test('run with a symbol that is not listed: exit 2, and the nearest', async () => {
  const simulation = await simulate();
  const database = await freshDatabase();
  const daemon = await spawnDaemon({
    ...simulation.settings,
    symbols: ['BTC/USDX'],
    'database.url': database.url,
  });
  expect(await daemon.ended).toEqual({ code: 2, signal: null });
  expect(daemon.stderr.join()).toContain('nearest: BTC/USDT');
});

test('record, then replay: the trades of the exchange, every digit', async () => {
  const simulation = await simulate({ tradesPerSecond: 0 });
  const file = join(await temporaryFolder(), 'recorded.jsonl');
  const env = environmentOf(simulation.settings);
  const child = hyperfeed(['record', '--out', file], { env });
  await simulation.subscribed(6);
  simulation.setRate(500);
  await waitFor(() => simulation.counters().trades > 500, { what: 'trades' });
  simulation.setRate(0);
  const rows = rowsOf(await simulation.journal());
  const countOf = (text: string) => text.match(/\\"e\\":\\"trade\\"/g)?.length;
  await waitFor(async () => countOf(await readFile(file, 'utf8')) === rows.length, {
    what: 'all of them to be in the file',
  });
  child.kill('SIGINT');
  expect(await child.ended).toEqual({ code: 0, signal: null });
  expect(child.stderr.at(-1)).toMatch(/^\d+ lines in /);

  const replayed = await runHyperfeed(['replay', file]);
  expect([replayed.code, replayed.stderr]).toEqual([0, []]);
  const events = replayed.stdout.map((line) => JSON.parse(line) as Record<string, string>);
  const trades = events.filter(({ type }) => type === 'trade');
  const byId = (a: unknown[], b: unknown[]) =>
    a[0] === b[0] ? Number(a[1]) - Number(b[1]) : String(a[0]) < String(b[0]) ? -1 : 1;
  expect(
    trades
      .map((t) => [t['symbol'], t['tradeId'], t['side'], t['price'], t['quantity'], t['time']])
      .toSorted(byId),
  ).toEqual(rows);
  expect(events.some(({ type }) => type === 'order_book')).toBe(true);

  const again = await runHyperfeed(['record', '--out', file], { env });
  expect([again.code, again.stderr.join()]).toEqual([1, expect.stringContaining('exists')]);
});

test('record to .gz for some seconds ends by itself', async () => {
  const simulation = await simulate();
  const file = join(await temporaryFolder(), 'recorded.jsonl.gz');
  const env = environmentOf(simulation.settings);
  expect((await runHyperfeed(['record', '-o', file, '--seconds', '2'], { env })).code).toBe(0);
  const { code, stdout } = await runHyperfeed(['replay', file]);
  expect(code).toBe(0);
  expect(stdout.length).toBeGreaterThan(5);
});

describe('up', () => {
  test('with servers of its own: says where to look, serves health, leaves nothing behind', async () => {
    const folder = await createThrowawayFolder();
    onTestFinished(() => folder.remove());
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    let printed = '';
    const running = runUp({
      config: configOf({ 'http.port': 0 }),
      isSet: () => false,
      simulated: true,
      createLogger: () => createLogger({ level: 'fatal' }),
      write: (text) => void (printed += text),
      isTerminal: false,
      dataDir: folder.path,
      signal: stop.signal,
    });
    let failure: unknown;
    running.catch((error: unknown) => (failure = error));
    const saying = (text: RegExp, what: string) =>
      waitFor(
        () => {
          if (failure) throw failure;
          return text.test(printed);
        },
        { what, timeoutMs: 40_000 },
      );
    await saying(/Ctrl-C/, 'the guide');
    expect(printed).toContain('exchange: SIMULATED, as asked for');
    const database = /psql '([^']+)'/.exec(printed)?.[1] ?? '';
    expect(printed).toContain(`  export DATABASE_URL='${database}' REDIS_URL=redis://`);
    expect(printed).toMatch(/redis-cli -u redis:\S+ hgetall 'price:binance-simulated:BTC\/USDT'/);
    const health = /health +(http:\S+)/.exec(printed)?.[1] ?? '';
    await waitFor(async () => (await fetch(health)).ok, { what: 'health' });
    const page = await fetch(/page +(http:\S+)/.exec(printed)?.[1] ?? '');
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    await saying(/trades \d+\.\d\/s \([1-9]\d*\)/, 'the rates');
    stop.abort();
    expect(await running).toBe(0);
    expect(printed.trimEnd().split('\n').at(-1)).toBe('stopped');
    await expect(fetch(health)).rejects.toThrow('fetch failed');
    for (const url of [database, /redis-cli -u (\S+)/.exec(printed)?.[1] ?? '']) {
      const { hostname, port } = new URL(url);
      await expect(fetch(`http://${hostname}:${port}`)).rejects.toMatchObject({
        cause: { code: 'ECONNREFUSED' },
      });
    }
  });

  test('with servers that are given: uses them; SIGINT drains, exit 0; what a former run left is no gap', async () => {
    const database = await freshDatabase();
    const redisUrl = await redisDatabase();
    const env = {
      ...environmentOf({ 'spool.directory': await temporaryFolder() }),
      DATABASE_URL: database.url,
      REDIS_URL: redisUrl,
    };
    let stored = 0;
    for (let run = 1; run <= 2; run++) {
      const child = hyperfeed(['up', '--simulated', '--port', '0'], { env });
      await waitFor(() => child.stdout.some((line) => line.startsWith('rows stored')), {
        what: 'the rates',
        timeoutMs: 30_000,
      });
      expect(child.stdout.join('\n')).not.toContain('embedded');
      child.kill('SIGINT');
      expect(await child.ended).toEqual({ code: 0, signal: null });
      expect(child.stdout.at(-1)).toBe('stopped');
      expect(child.stderr).toEqual([]);
      const trades = await storedTrades(database, 'binance-simulated');
      expect(trades.length).toBeGreaterThan(stored + 10);
      stored = trades.length;
    }
    expect(await database.query('SELECT * FROM ingest_gaps')).toEqual([]);
  });
});
