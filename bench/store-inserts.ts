/** How others write trades: many VALUES in one statement (cryptofeed), one INSERT a row (GoCryptoTrader). */
import { type Client, escapeLiteral } from 'pg';
import type { Trade } from '../src/ingest/events.ts';
import { rateOf, type Sample } from './harness.ts';

const COLUMNS = 'time, symbol, exchange, trade_id, side, price, quantity';
const BATCH = 5_000;

export async function insertValues(client: Client, trades: readonly Trade[]): Promise<Sample> {
  const batches = Array.from({ length: Math.ceil(trades.length / BATCH) }, (_, i) =>
    trades.slice(i * BATCH, (i + 1) * BATCH),
  );
  return rateOf(trades.length, async () => {
    for (const batch of batches) {
      const values = batch.map((trade) => `(${cellsOf(trade).map(escapeLiteral).join(', ')})`);
      await client.query(
        `INSERT INTO trades (${COLUMNS}) VALUES ${values.join(', ')} ON CONFLICT DO NOTHING`,
      );
    }
  });
}

export async function insertOneByOne(client: Client, trades: readonly Trade[]): Promise<Sample> {
  const text = `INSERT INTO trades (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`;
  return rateOf(trades.length, async () => {
    for (const trade of trades) await client.query(text, cellsOf(trade));
  });
}

function cellsOf(trade: Trade): string[] {
  const { time, symbol, exchange, tradeId, side, price, quantity } = trade;
  return [new Date(time / 1000).toISOString(), symbol, exchange, tradeId, side, price, quantity];
}
