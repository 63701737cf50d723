/** Holes in ingest_gaps whose trades are stored by now: what is there is no gap, whatever was given up. */
import type { Client } from 'pg';
import type { IdRange } from '../../ingest/history-pages.ts';
import { inTransaction } from '../../schema/connect.ts';
import type { Series } from './stored-rows.ts';

interface Gap {
  readonly id: string;
  readonly status: 'open' | 'unfillable';
  readonly next: bigint;
  readonly to: bigint;
}

const CHANNEL = 'trades';

/** One row at a time, locked: a daemon settles the same ones. */
const NEXT = `
  SELECT id::text, status, next_id::text AS "openFrom", from_id::text AS "lostFrom", to_id::text AS "to"
    FROM ingest_gaps
   WHERE exchange = $1 AND channel = '${CHANNEL}' AND symbol = $2 AND status <> 'filled'
     AND from_id <= $4 AND to_id >= $3 AND id > $5
   ORDER BY id LIMIT 1 FOR UPDATE`;

/** Rows with these ids lie between the rows around the gap, give or take a clock. */
const RUNS = `
  SELECT min(id)::text AS "from", max(id)::text AS "to"
    FROM (SELECT trades.id, trades.id - row_number() OVER (ORDER BY trades.id) AS run
            FROM ingest_gaps AS gap CROSS JOIN LATERAL (
                 SELECT DISTINCT trade_id::numeric AS id FROM trades
                  WHERE exchange = gap.exchange AND symbol = gap.symbol
                    AND time >= gap.from_time - interval '1 minute' AND time <= gap.to_time + interval '1 minute'
                    AND trade_id ~ '^[0-9]{1,38}$') AS trades
           WHERE gap.id = $1 AND trades.id BETWEEN $2 AND $3) AS numbered
   GROUP BY run ORDER BY min(id)`;

const FILL = `
  UPDATE ingest_gaps
     SET from_id = $2, to_id = $3, next_id = $3::numeric + 1, rows_filled = $3::numeric - $2::numeric + 1,
         status = 'filled', reason = NULL, closed_at = now()
   WHERE id = $1`;

const SHRINK =
  'UPDATE ingest_gaps SET from_id = $2, to_id = $3, next_id = $3::numeric + 1 WHERE id = $1';

/** Another part of the same gap. */
const ADD = `
  INSERT INTO ingest_gaps (exchange, channel, symbol, from_id, to_id, next_id, from_time, to_time, detected_at,
         status, rows_filled, reason, closed_at)
  SELECT exchange, channel, symbol, $2, $3, $3::numeric + 1, from_time, to_time, detected_at,
         CASE WHEN $4 THEN 'filled' ELSE 'unfillable' END, CASE WHEN $4 THEN $3::numeric - $2::numeric + 1 ELSE 0 END,
         CASE WHEN $4 THEN NULL ELSE $5 END, now()
    FROM ingest_gaps WHERE id = $1`;

/** Resolves to how many ids were missing by the table and are there. */
export async function settleGaps(client: Client, series: Series, ids: IdRange): Promise<bigint> {
  let settled = 0n;
  for (let last: string | undefined = '0'; last !== undefined;) {
    const after: string = last;
    last = await inTransaction(client, async () => {
      const { exchange, symbol } = series;
      const { rows } = await client.query<
        Record<'id' | 'openFrom' | 'lostFrom' | 'to', string> & Gap
      >(NEXT, [exchange, symbol, ids.from, ids.to, after].map(String));
      const [row] = rows;
      if (!row) return undefined;
      const next = BigInt(row.status === 'open' ? row.openFrom : row.lostFrom);
      const gap: Gap = { id: row.id, status: row.status, next, to: BigInt(row.to) };
      settled += await settle(client, series, gap);
      return row.id;
    });
  }
  return settled;
}

async function settle(client: Client, series: Series, gap: Gap): Promise<bigint> {
  const parameters = [gap.id, gap.next, gap.to].map(String);
  const { rows } = await client.query<{ from: string; to: string }>(RUNS, parameters);
  const runs = rows.map(({ from, to }) => ({ from: BigInt(from), to: BigInt(to) }));
  return gap.status === 'open' ? advance(client, series, gap, runs) : split(client, gap, runs);
}

/** What is missing of an open gap is still asked for by the daemon, which knows it by its end. */
async function advance(
  client: Client,
  { exchange, symbol }: Series,
  { next, to }: Gap,
  [first]: readonly IdRange[],
): Promise<bigint> {
  if (first?.from !== next) return 0n;
  await client.query('SELECT hyperfeed_settle_gap($1, $2, $3, $4, $5, $6, NULL)', [
    exchange,
    CHANNEL,
    symbol,
    ...[to, next, first.to].map(String),
  ]);
  return first.to - next + 1n;
}

/** Each part that is there, or is not, becomes a row. */
async function split(client: Client, gap: Gap, runs: readonly IdRange[]): Promise<bigint> {
  if (runs.length === 0) return 0n;
  const parts: (IdRange & { readonly there: boolean })[] = [];
  let next = gap.next;
  for (const run of runs) {
    if (run.from > next) parts.push({ from: next, to: run.from - 1n, there: false });
    parts.push({ ...run, there: true });
    next = run.to + 1n;
  }
  if (next <= gap.to) parts.push({ from: next, to: gap.to, there: false });
  const reason = await client.query<{ reason: string }>(
    'SELECT reason FROM ingest_gaps WHERE id = $1',
    [gap.id],
  );
  const [first, ...others] = parts;
  for (const { from, to, there } of others) {
    const why = reason.rows[0]?.reason;
    await client.query(ADD, [gap.id, String(from), String(to), there, why]);
  }
  if (first) {
    await client.query(first.there ? FILL : SHRINK, [gap.id, String(first.from), String(first.to)]);
  }
  return runs.reduce((sum, { from, to }) => sum + to - from + 1n, 0n);
}
