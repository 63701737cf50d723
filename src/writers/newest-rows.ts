/** How far earlier runs stored the streams. */
import type { Client } from 'pg';
import type { Channel, Micros } from '../ingest/events.ts';

const NEWEST: Readonly<Record<Channel, string>> = {
  trades: edgeOf('trades', 'DESC'),
  order_book: edgeOf('order_book', 'DESC'),
  // Runs that never lived to the end of a minute have left no candle: from the first that they saw on.
  candles: `coalesce(${edgeOf('market_data', 'DESC')}, date_trunc('minute',
    least(${edgeOf('trades', 'ASC')}, ${edgeOf('order_book', 'ASC')})) - INTERVAL '1 minute')`,
};

/** Of each symbol that has rows: an index look-up each. */
export async function newestRows(
  client: Client,
  exchange: string,
  channel: Channel,
  symbols: readonly string[],
): Promise<{ readonly symbol: string; readonly time: Micros }[]> {
  const { rows } = await client.query<{ symbol: string; time: string }>(
    `SELECT symbol, (extract(epoch FROM time) * 1000000)::bigint AS time
       FROM (SELECT symbol, ${NEWEST[channel]} AS time FROM unnest($2::text[]) AS wanted (symbol)) AS newest
      WHERE time IS NOT NULL`,
    [exchange, symbols],
  );
  return rows.map(({ symbol, time }) => ({ symbol, time: Number(time) }));
}

function edgeOf(table: string, order: 'ASC' | 'DESC'): string {
  return `(SELECT known.time FROM ${table} AS known
    WHERE known.exchange = $1 AND known.symbol = wanted.symbol ORDER BY known.time ${order} LIMIT 1)`;
}
