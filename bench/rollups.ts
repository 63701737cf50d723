/**
 * node bench/rollups.ts: a backfill of one symbol-year of minutes (525,600 candles), rolled up in the
 * transactions that store it, against the same rows without roll-ups; and all of it as one set.
 */
import { Client } from 'pg';
import { pino } from 'pino';
import { startStack } from '../src/embedded/stack.ts';
import { createMetrics } from '../src/metrics.ts';
import { migrate } from '../src/schema/migrate.ts';
import { createTransaction } from '../src/writers/store-transaction.ts';
import type { Candle } from '../src/ingest/events.ts';
import { createBatches } from '../test/support/batch.ts';

const MINUTE = 60_000_000;
const START = Date.parse('2025-01-01T00:00:00Z') * 1000;
const CANDLES = 525_600;
const BATCH = 5_000;
const NO_ROLL_UP = `CREATE OR REPLACE FUNCTION hyperfeed_roll_up(times timestamptz[], exchanges text[], symbols text[])
  RETURNS void LANGUAGE sql AS ''`;

const stack = await startStack({
  fast: false,
  log: {
    info: () => {},
    warn: (text: unknown) => void process.stderr.write(`${JSON.stringify(text)}\n`),
  },
});
try {
  for (const rollUps of [true, false]) {
    const client = await freshDatabase(stack.databaseUrl, `bench_rollups_${rollUps}`);
    try {
      // A function of no effect in its place: what is left is the store.
      if (!rollUps) await client.query(NO_ROLL_UP);
      const seconds = await backfill(client);
      report(rollUps ? 'stored and rolled up' : 'stored alone', seconds);
      if (rollUps) report('rolled up again, as one set', await rollUpAll(client));
    } finally {
      await client.end();
    }
  }
} finally {
  await stack.stop();
}

async function freshDatabase(serverUrl: string, name: string): Promise<Client> {
  const server = new Client({ connectionString: serverUrl });
  await server.connect();
  await server.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await server.query(`CREATE DATABASE ${name}`);
  await server.end();
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const clientConfig = { connectionString: url.href };
  await migrate({ clientConfig, logger: pino({ level: 'silent' }) });
  const client = new Client(clientConfig);
  await client.connect();
  await client.query(
    `SELECT hyperfeed_add_partitions(name, ARRAY(SELECT generate_series('2025-01-01', '2026-01-01', INTERVAL '1 month')))
       FROM hyperfeed_series`,
  );
  return client;
}

async function backfill(client: Client): Promise<number> {
  const transaction = createTransaction({ exchange: 'binance', metrics: createMetrics('binance') });
  await transaction.begin(client);
  const batchOf = createBatches();
  const startedAt = performance.now();
  for (let first = 0; first < CANDLES; first += BATCH) {
    const count = Math.min(BATCH, CANDLES - first);
    await transaction.store(
      client,
      batchOf(Array.from({ length: count }, (_, i) => candle(first + i))),
    );
  }
  return (performance.now() - startedAt) / 1000;
}

async function rollUpAll(client: Client): Promise<number> {
  const startedAt = performance.now();
  await client.query(
    'SELECT hyperfeed_roll_up(array_agg(time), array_agg(exchange::text), array_agg(symbol::text)) FROM market_data',
  );
  return (performance.now() - startedAt) / 1000;
}

function candle(minute: number): Candle {
  const time = START + minute * MINUTE;
  const price = (offset: number) => `${60_000 + ((minute * 7919) % 1000) + offset}.12345678`;
  return {
    type: 'candle',
    exchange: 'binance',
    symbol: 'BTC/USDT',
    time,
    receivedAt: time,
    open: price(0),
    high: price(50),
    low: price(-50),
    close: price(10),
    volume: `${minute % 100}.00010000`,
    trades: minute % 5000,
  };
}

function report(what: string, seconds: number): void {
  const rate = Math.round(CANDLES / seconds);
  process.stdout.write(
    `${what.padEnd(28)} ${seconds.toFixed(1).padStart(6)} s  ${rate} candles/s\n`,
  );
}
