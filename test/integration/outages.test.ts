/**
 * PostgreSQL and Redis stopped, killed, frozen, absent at the start, while trades come in: afterwards
 * everything that the exchange sent is in the database once, and Redis holds the newest values.
 */
import { Redis } from 'ioredis';
import { Client, type QueryResultRow } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { JournalTrade } from '../../src/sim/journal.ts';
import {
  freshDatabase,
  rowsOf,
  type Simulation,
  simulate,
  spawnDaemon,
  startDaemon,
  storedTrades,
  type TestDaemon,
  usedMemory,
} from '../support/daemon.ts';
import { ownPostgres, ownRedis } from '../support/own-servers.ts';
import { freePort, type TestDatabase, waitFor } from '../support/stack.ts';

const SYMBOLS = ['BTC/USDT', 'ETH/USDT'];
const MIB = 1024 * 1024;

interface StatusPage {
  readonly status: string;
  readonly reasons: readonly { code: string; severity: string }[];
  readonly parts: { readonly store: { readonly spool: { bytes: number; unwrittenBytes: number } } };
}

/** Everything that the simulation emits from here on is received: nothing trades before. */
async function startFlow(settings: Parameters<typeof startDaemon>[0]) {
  const simulation = await simulate({ tradesPerSecond: 0 });
  const daemon = await startDaemon({ ...simulation.settings, ...settings });
  await simulation.subscribed(6);
  return { simulation, daemon };
}

async function reasonsOf(daemon: TestDaemon): Promise<string[]> {
  const { reasons } = await daemon.page<StatusPage>('/health');
  return reasons.map(({ code }) => code);
}

const emitted = ({ counters }: Simulation) => counters().trades;

/** In portions that are on disk before the next one comes, as slow as that may be. */
async function burst(simulation: Simulation, daemon: TestDaemon, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 5_000) {
    await simulation.burst(SYMBOLS[(left / 5_000) % 2] ?? '', Math.min(left, 5_000));
    await accepted(simulation, daemon);
  }
}

async function accepted(simulation: Simulation, daemon: TestDaemon): Promise<void> {
  await waitFor(
    async () =>
      (await daemon.value('rowsReceived', { table: 'trades' })) >= emitted(simulation) &&
      (await daemon.page<StatusPage>('/status')).parts.store.spool.unwrittenBytes === 0,
    { what: 'all trades to be on disk', timeoutMs: 30_000 },
  );
}

async function expectAllStored(
  database: Pick<TestDatabase, 'query'>,
  simulation: Simulation,
  daemon: TestDaemon,
): Promise<void> {
  simulation.setRate(0);
  await accepted(simulation, daemon);
  await daemon.drained(40_000);
  expect(await daemon.value('rowsDropped')).toBe(0);
  const rows = rowsOf(await simulation.journal());
  expect(rows.length).toBeGreaterThan(0);
  expect(await storedTrades(database)).toEqual(rows);
}

async function expectNewestPrices(
  client: Redis,
  simulation: Simulation,
  timeoutMs: number,
): Promise<void> {
  const journal = await simulation.journal();
  for (const symbol of SYMBOLS) {
    const last = journal.findLast(
      (entry): entry is JournalTrade => entry.type === 'trade' && entry.symbol === symbol,
    );
    const wanted = [last?.price, last?.qty, String(last?.time)];
    const newest = () => client.hmget(`price:binance:${symbol}`, 'price', 'volume', 'timestamp');
    await waitFor(async () => String(await newest().catch(() => [])) === String(wanted), {
      what: `the newest price of ${symbol}`,
      timeoutMs,
    });
  }
}

/** One that was there before the test could make it. */
function databaseAt(url: string): Pick<TestDatabase, 'query'> {
  return {
    async query<Row extends QueryResultRow>(sql: string, params?: unknown[]) {
      const client = new Client({ connectionString: url });
      await client.connect();
      try {
        return (await client.query<Row>(sql, params)).rows;
      } finally {
        await client.end();
      }
    },
  };
}

function redisClient(url: string): Redis {
  const client = new Redis(url, { retryStrategy: () => 20 });
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

test(
  'PostgreSQL stopped in full flow: rows wait on disk, memory stays flat, all are stored in order',
  { timeout: 120_000 },
  async () => {
    const server = await ownPostgres();
    const database = await freshDatabase({ serverUrl: server.url });
    const { simulation, daemon } = await startFlow({
      'database.url': database.url,
      'spool.memoryBytes': 2 * MIB,
      'spool.segmentBytes': MIB,
    });
    simulation.setRate(400);
    await burst(simulation, daemon, 10_000);
    await daemon.drained();
    const before = usedMemory();

    await server.stop();
    await burst(simulation, daemon, 100_000);
    const status = await daemon.page<StatusPage>('/status');
    expect(status.parts.store.spool.bytes).toBeGreaterThan(8 * MIB);
    expect(usedMemory() - before).toBeLessThan(6 * MIB);
    expect(status.status).toBe('degraded');
    expect(await reasonsOf(daemon)).toContain('database');
    // Rows are accepted: no reason to send the exchange's data elsewhere.
    expect(await daemon.page('/readyz')).toMatchObject({ ready: true });

    await server.restart();
    await expectAllStored(database, simulation, daemon);
    // No later transaction stored an earlier trade.
    const [{ disorder } = {}] = await database.query<{ disorder: string }>(`
      SELECT count(*) FILTER (WHERE first < before) AS disorder FROM (
        SELECT min(trade_id::bigint) AS first, lag(max(trade_id::bigint))
          OVER (PARTITION BY symbol ORDER BY xmin::text::bigint) AS before
        FROM trades GROUP BY symbol, xmin) AS transactions`);
    expect(Number(disorder)).toBe(0);
    await waitFor(async () => (await reasonsOf(daemon)).length === 0, { what: 'health' });
  },
);

test(
  'PostgreSQL crashes in the middle of transactions: nothing is lost or doubled',
  { timeout: 120_000 },
  async () => {
    const server = await ownPostgres();
    const database = await freshDatabase({ serverUrl: server.url });
    const { simulation, daemon } = await startFlow({
      'database.url': database.url,
      'database.batch.maxRows': 500,
      'database.batch.maxDelayMs': 0,
    });
    simulation.setRate(400);
    for (let crash = 0; crash < 3; crash++) {
      const stored = await daemon.value('copyBatches');
      const flow = burst(simulation, daemon, 15_000);
      // Thirty transactions for these rows alone: it is in the middle of one.
      await waitFor(async () => (await daemon.value('copyBatches')) > stored + 3, {
        what: 'batches to be stored',
      });
      await (crash % 2 === 0 ? server.stop('immediate') : server.kill());
      await flow;
      await server.restart();
    }
    await expectAllStored(database, simulation, daemon);
    // The watermark told what was committed, so no row was sent twice.
    expect(await daemon.value('rowsDuplicate', { table: 'trades' })).toBe(0);
  },
);

test('Redis stopped, frozen, started empty: no row is lost, the newest values come back', async () => {
  const database = await freshDatabase();
  const server = await ownRedis();
  const { simulation, daemon } = await startFlow({
    'database.url': database.url,
    'redis.url': server.url,
  });
  const client = redisClient(server.url);
  const seen = async (count: number) => {
    const target = emitted(simulation) + count;
    simulation.setRate(1_000);
    await waitFor(() => emitted(simulation) >= target, { what: `${count} trades` });
    simulation.setRate(0);
  };
  await seen(200);
  await expectNewestPrices(client, simulation, 5_000);

  server.pause();
  await seen(2_000);
  // Rows do not wait for Redis.
  await accepted(simulation, daemon);
  await daemon.drained();
  server.resume();
  await expectNewestPrices(client, simulation, 2_500);

  await server.kill();
  await seen(500);
  await accepted(simulation, daemon);
  await server.restart();
  await expectNewestPrices(client, simulation, 2_500);
  for (const symbol of SYMBOLS) {
    await waitFor(() => client.exists(`orderbook:binance:${symbol}`), { what: 'books' });
  }
  await expectAllStored(database, simulation, daemon);
  await waitFor(async () => (await reasonsOf(daemon)).length === 0, { what: 'health' });
  expect(await daemon.value('rowsDropped')).toBe(0);
});

test('PostgreSQL and Redis absent at the start: accepted all the same, stored when they come', async () => {
  const [databasePort, redisPort] = [await freePort(), await freePort()];
  const { simulation, daemon } = await startFlow({
    'database.url': `postgres://postgres@127.0.0.1:${databasePort}/postgres`,
    'redis.url': `redis://127.0.0.1:${redisPort}`,
  });
  await burst(simulation, daemon, 10_000);
  expect(await reasonsOf(daemon)).toEqual(expect.arrayContaining(['database', 'redis_down']));

  const [server, redis] = await Promise.all([ownPostgres(databasePort), ownRedis(redisPort)]);
  await daemon.drained(30_000);
  await expectAllStored(databaseAt(server.url), simulation, daemon);
  await expectNewestPrices(redisClient(redis.url), simulation, 2_500);
  expect(daemon.refusals).toEqual([]);
});

test(
  'ten daemons at once on an empty database: all come up, each row is stored once',
  { timeout: 120_000 },
  async () => {
    const simulation = await simulate({ tradesPerSecond: 0 });
    const database = await freshDatabase();
    const daemons = await Promise.all(
      Array.from({ length: 10 }, () =>
        spawnDaemon({ ...simulation.settings, 'database.url': database.url }),
      ),
    );
    await Promise.all(daemons.map((daemon) => daemon.says('storing')));
    await simulation.subscribed(60);
    for (let i = 0; i < 5; i++) await simulation.burst(SYMBOLS[i % 2] ?? '', 300);
    const rows = rowsOf(await simulation.journal());
    await waitFor(async () => (await storedTrades(database)).length >= rows.length, {
      what: 'all trades to be stored',
      timeoutMs: 30_000,
    });
    for (const daemon of daemons) daemon.kill('SIGTERM');
    expect(await Promise.all(daemons.map((daemon) => daemon.ended))).toEqual(
      daemons.map(() => ({ code: 0, signal: null })),
    );
    expect(daemons.map((daemon) => daemon.log().find(({ msg }) => msg === 'stopped'))).toEqual(
      daemons.map(() => expect.objectContaining({ drained: true, stragglers: [] }) as unknown),
    );
    expect(await storedTrades(database)).toEqual(rows);
    const applied = daemons.filter((daemon) => daemon.logged('schema migrated'));
    expect(applied).toHaveLength(1);
  },
);
