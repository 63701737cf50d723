/** `hyperfeed gaps list`: what was missing, what was refilled, what cannot be had. */
import type { Logger } from '../log.ts';
import { withClient } from '../schema/connect.ts';
import { textTable } from './text-table.ts';

export interface GapsListOptions {
  readonly databaseUrl: string;
  /** Undefined: of all. */
  readonly exchange: string | undefined;
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
  readonly fromId: string;
  readonly toId: string;
  readonly fromTime: string;
  readonly toTime: string;
  readonly detectedAt: string;
  readonly status: string;
  readonly rowsFilled: string;
  readonly reason: string | null;
  readonly closedAt: string | null;
}

const GAPS = `
  SELECT exchange, channel, symbol, from_id AS "fromId", to_id AS "toId", ${iso('from_time')} AS "fromTime",
         ${iso('to_time')} AS "toTime", ${iso('detected_at')} AS "detectedAt", status,
         rows_filled AS "rowsFilled", reason, ${iso('closed_at')} AS "closedAt"
    FROM ingest_gaps
   WHERE ($1::text IS NULL OR exchange = $1) AND (status = 'open' OR NOT $2)
   ORDER BY detected_at, exchange, symbol, from_id`;

const COLUMNS = [
  'DETECTED',
  'EXCHANGE',
  'SYMBOL',
  'FROM ID',
  'TO ID',
  'STATUS',
  'FILLED',
  'REASON',
];

/** Resolves to the exit code. */
export async function runGapsList(options: GapsListOptions): Promise<number> {
  const { databaseUrl, exchange, openOnly, json, write, logger, signal } = options;
  const clientConfig = { connectionString: databaseUrl, application_name: 'hyperfeed gaps' };
  const { rows } = await withClient({ clientConfig, logger, signal }, (client) =>
    client.query<Gap>(GAPS, [exchange ?? null, openOnly]),
  );
  if (json) await write(rows.map((gap) => `${JSON.stringify(gap)}\n`).join(''));
  else await write(rows.length === 0 ? 'no gaps\n' : table(rows));
  return 0;
}

function table(gaps: readonly Gap[]): string {
  const rows = gaps.map((gap) => [
    gap.detectedAt,
    gap.exchange,
    gap.symbol,
    gap.fromId,
    gap.toId,
    gap.status,
    gap.rowsFilled,
    gap.reason,
  ]);
  return textTable(COLUMNS, rows);
}

function iso(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}
