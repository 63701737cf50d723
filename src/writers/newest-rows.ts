/** How far streams are stored. */
import type { Client } from 'pg';
import type { Channel, Micros } from '../ingest/events.ts';
import { TABLES } from './tables.ts';

const TABLE_OF = {
  candles: TABLES.candle.name,
  order_book: TABLES.order_book.name,
  trades: TABLES.trade.name,
};

/** The time of the newest row of each symbol that has one: an index look-up each. */
export async function newestRows(
  client: Client,
  exchange: string,
  channel: Channel,
  symbols: readonly string[],
): Promise<{ readonly symbol: string; readonly time: Micros }[]> {
  const { rows } = await client.query<{ symbol: string; time: string }>(
    `SELECT wanted.symbol, (extract(epoch FROM newest.time) * 1000000)::bigint AS time
       FROM unnest($2::text[]) AS wanted (symbol),
         LATERAL (SELECT time FROM ${TABLE_OF[channel]} AS known
                   WHERE known.exchange = $1 AND known.symbol = wanted.symbol
                   ORDER BY time DESC LIMIT 1) AS newest`,
    [exchange, symbols],
  );
  return rows.map(({ symbol, time }) => ({ symbol, time: Number(time) }));
}
