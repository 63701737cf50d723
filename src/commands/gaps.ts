/** `hyperfeed gaps list`: what was missing, what was refilled, what cannot be had. By ids, or by time. */
import type { Logger } from '../log.ts';
import { withClient } from '../schema/connect.ts';
import { commandSession, isoTime } from './database-session.ts';
import { textTable } from './text-table.ts';

export interface GapsListOptions {
  readonly databaseUrl: string;
  readonly allowInsecure: boolean;
  /** Undefined: of all. */
  readonly exchange: string | undefined;
  readonly symbols: readonly string[] | undefined;
  readonly channels: readonly string[] | undefined;
  readonly openOnly: boolean;
  readonly json: boolean;
  /** Resolves when the text is taken. */
  readonly write: (text: string) => Promise<void>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

interface Gap {
  readonly exchange: string;
  readonly channel: string;
  readonly symbol: string;
  /** Null: of a stream without ids, known by its time. */
  readonly fromId: string | null;
  readonly toId: string | null;
  readonly fromTime: string;
  readonly toTime: string;
  readonly detectedAt: string;
  readonly status: string;
  readonly rowsFilled: string;
  readonly reason: string | null;
  readonly closedAt: string | null;
}

const GAPS = `
  SELECT exchange, channel, symbol, from_id AS "fromId", to_id AS "toId", ${isoTime('from_time')} AS "fromTime",
         ${isoTime('to_time')} AS "toTime", ${isoTime('detected_at')} AS "detectedAt", status,
         rows_filled AS "rowsFilled", reason, ${isoTime('closed_at')} AS "closedAt"
    FROM ingest_gaps
   WHERE ($1::text IS NULL OR exchange = $1) AND (status = 'open' OR NOT $2)
     AND ($3::text[] IS NULL OR symbol = ANY ($3)) AND ($4::text[] IS NULL OR channel = ANY ($4))
   ORDER BY detected_at, exchange, symbol, from_id`;

const COLUMNS = [
  'DETECTED',
  'EXCHANGE',
  'CHANNEL',
  'SYMBOL',
  'FROM',
  'TO',
  'STATUS',
  'FILLED',
  'REASON',
];

/** Resolves to the exit code. */
export async function runGapsList(options: GapsListOptions): Promise<number> {
  const { databaseUrl, allowInsecure, openOnly, json, write, logger, signal } = options;
  const { exchange = null, symbols = null, channels = null } = options;
  const clientConfig = commandSession(databaseUrl, allowInsecure, 'hyperfeed gaps');
  const { rows } = await withClient({ clientConfig, logger, signal }, (client) =>
    client.query<Gap>(GAPS, [exchange, openOnly, symbols, channels]),
  );
  if (json) await write(rows.map((gap) => `${JSON.stringify(gap)}\n`).join(''));
  else await write(rows.length === 0 ? 'no gaps\n' : table(rows));
  return 0;
}

function table(gaps: readonly Gap[]): string {
  const rows = gaps.map((gap) => [
    gap.detectedAt,
    gap.exchange,
    gap.channel,
    gap.symbol,
    gap.fromId ?? gap.fromTime,
    gap.toId ?? gap.toTime,
    gap.status,
    gap.rowsFilled,
    gap.reason,
  ]);
  return textTable(COLUMNS, rows);
}
