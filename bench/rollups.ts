/**
 * A backfill of one symbol-year of minutes (525,600 candles), rolled up in the transactions that store
 * it, against the same rows without roll-ups.
 */
import type { Client } from 'pg';
import type { Candle } from '../src/ingest/events.ts';
import { type Bench, type BenchContext, finding, type Sample } from './harness.ts';
import { storeEvents } from './parts.ts';
import { connected } from './servers.ts';

const MINUTE = 60_000_000;
const START = Date.parse('2025-01-01T00:00:00Z') * 1000;
const YEAR = 525_600;
const NO_ROLL_UP = `CREATE OR REPLACE FUNCTION hyperfeed_roll_up(times timestamptz[], exchanges text[], symbols text[])
  RETURNS void LANGUAGE sql AS ''`;

export const bench: Bench = {
  name: 'rollups',
  about: 'candles stored and rolled up, against the same stored alone',
  async *run(context) {
    const count = context.quick ? 50_000 : YEAR;
    const candles = Array.from({ length: count }, (_, minute) => candle(minute));
    const rounds = Math.min(context.rounds, 3);
    const ours: Sample[] = [];
    const alone: Sample[] = [];
    for (let round = 1; round <= rounds; round++) {
      for (const rollUps of [true, false]) {
        context.progress(`candles, ${rollUps ? 'rolled up' : 'alone'}: ${round} of ${rounds}`);
        (rollUps ? ours : alone).push(await backfill(context, candles, rollUps));
      }
    }
    const year = count === YEAR ? 'a symbol-year' : `${count} candles`;
    yield finding({
      what: `${year} stored and rolled up`,
      unit: 's',
      goal: '<= 10',
      ours,
    });
    yield finding({
      what: `${year} stored and rolled up`,
      unit: 's',
      goal: '<= 1.15',
      ours,
      limitName: 'stored alone',
      limits: alone,
    });
  },
};

/** In seconds. */
async function backfill(
  context: BenchContext,
  candles: readonly Candle[],
  rollUps: boolean,
): Promise<Sample> {
  const servers = await context.servers();
  const { connectionString: url } = await servers.database('bench_rollups');
  const client = await connected({ connectionString: url });
  try {
    await prepare(client, rollUps);
  } finally {
    await client.end();
  }
  const folder = await context.folder('spool');
  const { value, details } = await storeEvents(candles, { url, folder });
  return { value: candles.length / value, ...(details && { details }) };
}

async function prepare(client: Client, rollUps: boolean): Promise<void> {
  await client.query(
    `SELECT hyperfeed_add_partitions(name, ARRAY(SELECT generate_series('2025-01-01', '2026-01-01', INTERVAL '1 month')))
       FROM hyperfeed_series`,
  );
  // A function of no effect in its place: what is left is the store.
  if (!rollUps) await client.query(NO_ROLL_UP);
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
