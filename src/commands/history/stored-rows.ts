/** What is stored, as texts, piece by piece and without a long transaction. */
import type { Client } from 'pg';
import type { Candle, Micros, Trade } from '../../ingest/events.ts';
import type { IdRange, MinuteRange } from '../../ingest/history-pages.ts';
import { copyTimestamp } from '../../writers/copy-text.ts';
import type { TimeRange } from './moment.ts';

/** Rows of one market. */
export interface Series {
  readonly exchange: string;
  readonly symbol: string;
}

export type StoredCandle = Omit<Candle, 'type' | 'receivedAt' | 'exchange' | 'symbol'>;
export type StoredTrade = Omit<Trade, 'type' | 'receivedAt' | 'exchange' | 'symbol'>;

const HOUR: Micros = 3_600_000_000;
const TRADES_AT_ONCE = 1_000;
const MICROS = '(extract(epoch FROM time) * 1000000)::bigint::text AS micros';

const CANDLES = `
  SELECT ${MICROS}, open::text, high::text, low::text, close::text, volume::text, trades
    FROM market_data
   WHERE exchange = $1 AND symbol = $2 AND time >= $3 AND time <= $4
   ORDER BY time`;

export async function storedCandles(
  client: Client,
  { exchange, symbol }: Series,
  { from, to }: MinuteRange,
): Promise<Map<Micros, StoredCandle>> {
  const { rows } = await client.query<StoredCandle & { micros: string }>(CANDLES, [
    exchange,
    symbol,
    copyTimestamp(from),
    copyTimestamp(to),
  ]);
  return new Map(
    rows.map(({ micros, ...candle }) => {
      const time = Number(micros);
      return [time, { ...candle, time }];
    }),
  );
}

/** Ids are in the order of numbers: the shorter one first. */
const ID_ORDER = 'length(trade_id), trade_id COLLATE "C"';

const TRADES = `
  SELECT ${MICROS}, trade_id AS "tradeId", side, price::text, quantity::text
    FROM trades
   WHERE exchange = $1 AND symbol = $2 AND time >= $3 AND time < $4
     AND (time > $3 OR (${ID_ORDER}) > (length($5::text), $5::text COLLATE "C"))
   ORDER BY time, ${ID_ORDER} LIMIT ${TRADES_AT_ONCE}`;

/** In the order of time, then id. */
export async function* storedTrades(
  client: Client,
  { exchange, symbol }: Series,
  { from, to }: TimeRange,
): AsyncGenerator<StoredTrade> {
  for (let time = from, id = ''; ;) {
    const { rows } = await client.query<StoredTrade & { micros: string }>(TRADES, [
      exchange,
      symbol,
      copyTimestamp(time),
      copyTimestamp(to),
      id,
    ]);
    for (const { micros, ...trade } of rows) yield { ...trade, time: Number(micros) };
    const last = rows.at(-1);
    if (!last || rows.length < TRADES_AT_ONCE) return;
    time = Number(last.micros);
    id = last.tradeId;
  }
}

const RUNS = `
  SELECT min(id)::text AS "from", max(id)::text AS "to"
    FROM (SELECT id, id - row_number() OVER (ORDER BY id) AS run
            FROM (SELECT DISTINCT trade_id::numeric AS id FROM trades
                   WHERE exchange = $1 AND symbol = $2 AND time >= $3 AND time < $4
                     AND trade_id ~ '^[0-9]{1,38}$') AS stored) AS numbered
   GROUP BY run ORDER BY min(id)`;

/** Which of these ids are stored, as runs of consecutive ones; within a time range. */
async function storedRuns(
  client: Client,
  { exchange, symbol }: Series,
  { from, to }: TimeRange,
): Promise<IdRange[]> {
  const parameters = [exchange, symbol, copyTimestamp(from), copyTimestamp(to)];
  const { rows } = await client.query<{ from: string; to: string }>(RUNS, parameters);
  return rows.map((run) => ({ from: BigInt(run.from), to: BigInt(run.to) }));
}

/** The ids of `wanted` that are not stored, the lowest first; an hour of rows is looked at at once. */
export async function* missingIds(
  client: Client,
  series: Series,
  times: TimeRange,
  wanted: IdRange,
): AsyncGenerator<IdRange> {
  let next = wanted.from;
  for (let from = times.from; from < times.to && next <= wanted.to; from += HOUR) {
    const hour = { from, to: Math.min(times.to, from + HOUR) };
    for (const run of await storedRuns(client, series, hour)) {
      if (run.from > wanted.to) break;
      if (run.from > next) yield { from: next, to: run.from - 1n };
      if (run.to >= next) next = run.to + 1n;
    }
  }
  if (next <= wanted.to) yield { from: next, to: wanted.to };
}
