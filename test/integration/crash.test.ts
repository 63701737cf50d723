/**
 * The daemon as a process that is killed, and told to stop, in full flow. The exchange is a process of
 * its own; its journal and the files that a killed daemon leaves behind are what the database is
 * compared with.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createRandom } from '../support/random.ts';
import {
  freshDatabase,
  rowsOf,
  type Settings,
  simulate,
  spawnDaemon,
  spawnSimulation,
  storedTrades,
  temporaryFolder,
  type TradeRow,
} from '../support/daemon.ts';
import { startProxy } from '../support/proxy.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';

const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT'];
const KILLS = 20;
/** Where stored rows go at once. */
const EMPTY_SPOOL = ['lock', 'pid', 'reserve'];

const keyOf = (row: TradeRow) => `${row[0]} ${row[1]}`;

/**
 * Trades in the segments of a spool, read without the daemon's code: a header of 32 bytes, then
 * frames of 20 bytes and as much COPY text as their first four bytes say; of those that refill a gap
 * the first line is no row.
 */
async function spooledTrades(folder: string): Promise<string[]> {
  const keys: string[] = [];
  for (const name of await segments(folder)) {
    const bytes = await readFile(join(folder, name));
    for (let at = 32; at + 20 < bytes.length;) {
      const end = at + 20 + bytes.readUInt32LE(at);
      if (end > bytes.length) break;
      const isTrades = bytes.readUInt16LE(at + 18) === 1;
      const isFill = bytes.readUInt8(at + 16) === 2;
      const lines = bytes
        .toString('utf8', at + 20, end)
        .split('\n')
        .slice(isFill ? 1 : 0)
        .filter(Boolean);
      for (const [, symbol, , id] of isTrades ? lines.map((line) => line.split('\t')) : []) {
        keys.push(`${symbol} ${id}`);
      }
      at = end;
    }
  }
  return keys;
}

async function segments(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.seg')).toSorted();
}

/** The rows of each symbol in runs of ids without a hole. */
function runsOf(rows: readonly TradeRow[]): number {
  let runs = 0;
  let last: TradeRow | undefined;
  for (const row of rows) {
    if (last?.[0] !== row[0] || Number(row[1]) !== Number(last[1]) + 1) runs++;
    last = row;
  }
  return runs;
}

test(
  `killed ${KILLS} times in full flow: no accepted row is lost or doubled`,
  { timeout: 180_000 },
  async () => {
    const seed = Date.now() % 1_000_000;
    console.log(`kills by seed ${seed}`);
    const random = createRandom(seed);
    const simulation = await spawnSimulation({ seed, rate: 1_000, symbols: SYMBOLS });
    const database = await freshDatabase();
    const directory = await temporaryFolder();
    const spool = join(directory, 'binance');
    const settings: Settings = {
      ...simulation.settings,
      'database.url': database.url,
      'spool.directory': directory,
      'spool.retainSeconds': 0,
      'spool.segmentBytes': 65_536,
      'database.batch.maxRows': 200,
      'log.level': 'info',
    };
    const accepted = new Set<string>();
    /** When each life was over. */
    const ends: number[] = [];
    let inFlow = 0;

    for (let kill = 0; kill < KILLS; kill++) {
      const daemon = await spawnDaemon(settings);
      // Most in full flow; every fourth at any moment of the start, recovery included.
      if (kill % 4 !== 3) {
        await daemon.says('storing');
        await simulation.subscribed(SYMBOLS.length * 3);
        const since = new Date().toISOString();
        await waitFor(
          async () =>
            (await database.query('SELECT FROM trades WHERE time > $1 LIMIT 1', [since])).length,
          { what: 'rows of this life', timeoutMs: 20_000 },
        );
        inFlow++;
      }
      await sleep(random() * 400);
      daemon.kill('SIGKILL');
      expect(await daemon.ended).toEqual({ code: null, signal: 'SIGKILL' });
      ends.push(Date.now());
      for (const key of await spooledTrades(spool)) accepted.add(key);
    }
    const last = await spawnDaemon(settings);
    await simulation.subscribed(SYMBOLS.length * 3);
    await simulation.control('setRate', 0);
    // The newest ones are received by it.
    for (const symbol of SYMBOLS) await simulation.control('burst', symbol, 100);
    const journal = rowsOf(await simulation.journal());
    const newest = new Map(journal.map((row) => [row[0], keyOf(row)]));
    await waitFor(
      async () => {
        const stored = new Set((await storedTrades(database)).map(keyOf));
        return SYMBOLS.every((symbol) => stored.has(newest.get(symbol) ?? ''));
      },
      { what: 'the newest trade of each symbol', timeoutMs: 20_000 },
    );
    last.kill('SIGTERM');
    expect(await last.ended).toEqual({ code: 0, signal: null });

    const rows = await storedTrades(database);
    expect(await segments(spool)).toEqual([]);
    expect((await readdir(spool)).toSorted()).toEqual(EMPTY_SPOOL);
    // Once each, and as the exchange sent it.
    const sent = new Map(journal.map((row) => [keyOf(row), row]));
    expect(new Set(rows.map(keyOf)).size).toBe(rows.length);
    expect(rows).toEqual(rows.map((row) => sent.get(keyOf(row))));
    // Everything that a killed daemon had on disk.
    expect(accepted.size).toBeGreaterThan(0);
    const stored = new Set(rows.map(keyOf));
    expect([...accepted].filter((key) => !stored.has(key))).toEqual([]);
    // Nothing is missing between the first and the last row of a life, of any symbol.
    const lifeOf = (row: TradeRow) => ends.filter((end) => Date.parse(row[5]) > end).length;
    const lives = Map.groupBy(rows, lifeOf);
    for (const [life, own] of lives) {
      expect(runsOf(own), `life ${life}`).toBe(new Set(own.map(([symbol]) => symbol)).size);
    }
    expect(inFlow).toBe(KILLS - KILLS / 4);
    expect(lives.size).toBeGreaterThanOrEqual(inFlow);
  },
);

/** A daemon behind a proxy, and a simulation that trades nothing before it listens. */
async function startFlow(settings: Settings = {}) {
  const simulation = await simulate({ tradesPerSecond: 0, symbols: SYMBOLS });
  const database = await freshDatabase();
  const proxy = await startProxy(database.url);
  const directory = await temporaryFolder();
  const all = {
    ...simulation.settings,
    'database.url': proxy.url,
    'spool.directory': directory,
    'spool.retainSeconds': 0,
    ...settings,
  };
  const daemon = await spawnDaemon(all);
  await daemon.says('storing');
  await simulation.subscribed(SYMBOLS.length * 3);
  simulation.setRate(2_000);
  await waitFor(async () => (await storedTrades(database)).length > 500, { what: 'full flow' });
  return { simulation, database, proxy, daemon, all, spool: join(directory, 'binance') };
}

/** What was received before the end is stored: for each symbol all trades up to the last one. */
async function expectComplete(
  rows: readonly TradeRow[],
  { simulation }: Pick<Awaited<ReturnType<typeof startFlow>>, 'simulation'>,
): Promise<void> {
  const journal = rowsOf(await simulation.journal());
  const counts = new Map(SYMBOLS.map((s) => [s, rows.filter(([symbol]) => symbol === s).length]));
  const wanted = SYMBOLS.flatMap((symbol) =>
    journal.filter((row) => row[0] === symbol).slice(0, counts.get(symbol)),
  );
  expect(rows).toEqual(
    wanted.toSorted((a, b) => (a[0] === b[0] ? Number(a[1]) - Number(b[1]) : a[0] < b[0] ? -1 : 1)),
  );
}

/** Five hundred trades on disk that are not stored. */
async function backlog({ database, spool }: Awaited<ReturnType<typeof startFlow>>): Promise<void> {
  await waitFor(
    async () => {
      const stored = new Set((await storedTrades(database)).map(keyOf));
      return (await spooledTrades(spool)).filter((key) => !stored.has(key)).length > 500;
    },
    { what: 'a backlog' },
  );
}

/** Another life, as long as it takes to store what the one before left. */
async function drainBy(settings: Settings): Promise<void> {
  const daemon = await spawnDaemon(settings);
  await daemon.says('storing');
  daemon.kill('SIGTERM');
  expect(await daemon.ended).toEqual({ code: 0, signal: null });
  expect(daemon.log().at(-1)).toMatchObject({ msg: 'stopped', drained: true });
}

test('SIGTERM in full flow: all that was received is stored, exit 0', async () => {
  const flow = await startFlow();
  const { daemon, database, simulation, spool } = flow;
  daemon.kill('SIGTERM');
  expect(await daemon.ended).toEqual({ code: 0, signal: null });
  simulation.setRate(0);
  expect(daemon.log().at(-1)).toMatchObject({ msg: 'stopped', drained: true, stragglers: [] });
  expect((await readdir(spool)).toSorted()).toEqual(EMPTY_SPOOL);
  await expectComplete(await storedTrades(database), flow);
});

test('SIGTERM while the database is frozen: exit within the deadline, the rows wait on disk', async () => {
  const flow = await startFlow({ shutdownTimeoutMs: 1_500, 'database.connectTimeoutMs': 500 });
  const { daemon, database, simulation, spool, proxy, all } = flow;
  proxy.stall();
  const stored = (await storedTrades(database)).length;
  await backlog(flow);
  const startedAt = performance.now();
  daemon.kill('SIGTERM');
  expect(await daemon.ended).toEqual({ code: 0, signal: null });
  expect(performance.now() - startedAt).toBeLessThan(4_000);
  simulation.setRate(0);
  expect(daemon.log().at(-1)).toMatchObject({ msg: 'stopped', drained: false });
  const waiting = await spooledTrades(spool);

  proxy.resume();
  await drainBy(all);
  const rows = await storedTrades(database);
  expect(rows.length).toBeGreaterThan(stored + 500);
  const keys = new Set(rows.map(keyOf));
  expect(waiting.filter((key) => !keys.has(key))).toEqual([]);
  await expectComplete(rows, flow);
  expect((await readdir(spool)).toSorted()).toEqual(EMPTY_SPOOL);
});

test('a second SIGTERM does not wait: exit 1, accepted rows are there after the next start', async () => {
  const flow = await startFlow({ shutdownTimeoutMs: 30_000, 'database.copyTimeoutMs': 30_000 });
  const { daemon, database, simulation, spool, proxy, all } = flow;
  proxy.stall();
  await backlog(flow);
  daemon.kill('SIGTERM');
  await daemon.says('stopping');
  simulation.setRate(0);
  daemon.kill('SIGTERM');
  expect(await daemon.ended).toEqual({ code: 1, signal: null });
  expect(daemon.stderr.join('\n')).toContain('accepted rows are on disk');
  const waiting = await spooledTrades(spool);

  proxy.resume();
  await drainBy(all);
  const keys = new Set((await storedTrades(database)).map(keyOf));
  expect(waiting.filter((key) => !keys.has(key))).toEqual([]);
  await expectComplete(await storedTrades(database), flow);
});

test('killed in the middle of a transaction of several segments: they are all still there', async () => {
  const flow = await startFlow({
    'spool.segmentBytes': 65_536,
    'database.batch.maxRows': 100_000,
    'database.batch.maxBytes': 10_000_000,
  });
  const { daemon, database, simulation, spool, all } = flow;
  // Each COPY into trades waits for this lock; while one waits, the rows of the next pile up.
  await database.query(`
    CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$`);
  const [holder, next] = [await openGate(database.url), await openGate(database.url)];
  await holder.close();
  await database.query(
    'CREATE TRIGGER gate BEFORE INSERT ON trades FOR EACH STATEMENT EXECUTE FUNCTION gate()',
  );
  await waiters(database, 1);
  // In line behind that COPY, before the one that follows it.
  const closed = next.close();
  await waiters(database, 2);
  await waitFor(async () => (await segments(spool)).length >= 4, { what: 'segments' });
  await holder.open();
  await closed;
  await waiters(database, 1);
  simulation.setRate(0);
  daemon.kill('SIGKILL');
  expect(await daemon.ended).toEqual({ code: null, signal: 'SIGKILL' });
  const waiting = await spooledTrades(spool);
  await next.open();
  await drainBy(all);
  const rows = await storedTrades(database);
  const keys = new Set(rows.map(keyOf));
  expect(waiting.filter((key) => !keys.has(key))).toEqual([]);
  await expectComplete(rows, flow);
});

/** A session that holds, or does not hold, the lock of the trigger. */
async function openGate(url: string) {
  const client = new Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  return {
    close: () => client.query('SELECT pg_advisory_lock(42)'),
    open: () => client.query('SELECT pg_advisory_unlock(42)'),
  };
}

async function waiters(database: TestDatabase, count: number): Promise<void> {
  await waitFor(
    async () =>
      (
        await database.query(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42
        AND NOT granted`)
      ).length === count,
    { what: `${count} waiting sessions` },
  );
}
