/** Candles stored as the store does it, and the longer ones that come of them. */
import { Client } from 'pg';
import type { Candle } from '../../src/ingest/events.ts';
import { createMetrics } from '../../src/metrics.ts';
import { actionOf } from '../../src/writers/pg-errors.ts';
import { createTransaction } from '../../src/writers/store-transaction.ts';
import { createBatches } from './batch.ts';
import { configOf } from './daemon.ts';
import type { LongCandle } from './rollup-model.ts';
import { silent } from './schema.ts';
import type { TestDatabase } from './stack.ts';

export const MINUTE = 60_000_000;
/** A chunk of 30 days begins here, and a month. */
export const START = Date.parse('2026-03-01T00:00:00Z') * 1000;

export async function openCandleStore(database: TestDatabase) {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  const transaction = createTransaction({
    exchange: 'binance',
    quarantine: configOf({}).database.quarantine,
    metrics: createMetrics('binance'),
    logger: silent,
  });
  await transaction.begin(client);
  const batchOf = createBatches();
  return {
    client,
    /** How: a batch that meets what is there goes by way of staging, and some after it. */
    async store(candles: readonly Candle[]): Promise<'at once' | 'again'> {
      const batch = batchOf(candles);
      try {
        await transaction.store(client, batch);
        return 'at once';
      } catch (error) {
        if (actionOf(error) !== 'stage') throw error;
        await client.query('ROLLBACK');
        transaction.stageNext();
        await transaction.store(client, batch);
        return 'again';
      }
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}

/** Every candle but those of a minute, by the view. */
export async function storedLong(database: TestDatabase): Promise<LongCandle[]> {
  return database.query<LongCandle>(
    `SELECT timeframe, exchange, symbol, (extract(epoch FROM time) * 1000000)::bigint::text AS time,
            trim_scale(open)::text AS open, trim_scale(high)::text AS high, trim_scale(low)::text AS low,
            trim_scale(close)::text AS close, trim_scale(volume)::text AS volume, trades::text AS trades
       FROM market_candles WHERE timeframe <> '1m'
      ORDER BY timeframe, exchange COLLATE "C", symbol COLLATE "C", market_candles.time`,
  );
}

export function candle(time: number, values: Partial<Candle>): Candle {
  return {
    type: 'candle',
    exchange: 'binance',
    symbol: 'BTC/USDT',
    time,
    receivedAt: time,
    open: '2',
    high: '3',
    low: '1',
    close: '2',
    volume: '1',
    trades: 1,
    ...values,
  };
}
