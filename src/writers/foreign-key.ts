/**
 * The foreign key of `trades`, checked once a batch.
 *
 * PostgreSQL checks it row by row, which is a third of what storing a trade costs it. A session that
 * may set session_replication_role skips that, and asks instead for the batch's symbols, once each,
 * FOR KEY SHARE: the lock that the row-by-row check takes, held to the commit like that one. So
 * whoever deletes a symbol meanwhile waits and then sees the rows, or was first, and the batch is
 * refused. NOT NULL, CHECK and UNIQUE are enforced either way.
 *
 * Triggers and foreign keys of others on `trades` would be skipped too, and triggers that are for
 * replicas alone would run: where there are any, row by row.
 */
import { type Client, escapeLiteral } from 'pg';
import { HyperfeedError } from '../errors.ts';
import { copyCell } from './copy-text.ts';

export type ForeignKeyCheck = 'batch' | 'row';

/** A market, as rows name it. */
export interface SymbolKey {
  readonly symbol: string;
  readonly exchange: string;
}

/** As PostgreSQL says it. */
const FOREIGN_KEY_VIOLATION = '23503';

const SKIPPED = `NOT tgisinternal AND tgenabled IN ('O', 'R') AND tgname <> 'ts_insert_blocker'`;
const OWN_TRIGGERS = `SELECT FROM pg_trigger WHERE tgrelid = 'trades'::regclass AND ${SKIPPED}
  UNION ALL SELECT FROM pg_constraint
    WHERE conrelid = 'trades'::regclass AND contype = 'f' AND confrelid <> 'symbols'::regclass`;
const CHUNK_TRIGGERS = `SELECT FROM pg_trigger JOIN pg_inherits ON inhrelid = tgrelid
  WHERE inhparent = 'trades'::regclass AND ${SKIPPED}`;

/** What this session may do. PostgreSQL before 15 cannot grant it, but to a superuser. */
export async function foreignKeyCheck(client: Client): Promise<ForeignKeyCheck> {
  const { rows } = await client.query<Record<'triggers' | 'superuser' | 'grantable', boolean>>(
    `SELECT EXISTS (${CHUNK_TRIGGERS}) AS triggers,
       current_setting('is_superuser')::boolean AS superuser,
       current_setting('server_version_num')::integer >= 150000 AS grantable`,
  );
  const { triggers, superuser, grantable } = rows[0]!;
  if (triggers || superuser || !grantable) return superuser && !triggers ? 'batch' : 'row';
  const granted = await client.query<{ granted: boolean }>(
    `SELECT has_parameter_privilege('session_replication_role', 'SET') AS granted`,
  );
  return granted.rows[0]!.granted ? 'batch' : 'row';
}

/**
 * Begins a transaction that checks these symbols itself. Throws 23503 for one that is not known. True:
 * once the trades are in, END_CHECKED.
 */
export async function beginChecked(
  client: Client,
  symbols: readonly SymbolKey[],
): Promise<boolean> {
  const pairs = symbols.map((s) => `(${escapeLiteral(s.symbol)}, ${escapeLiteral(s.exchange)})`);
  const results = await client.query<{ own_triggers: boolean } | SymbolKey>(
    `BEGIN; SET LOCAL session_replication_role = replica;
     SELECT EXISTS (${OWN_TRIGGERS}) AS own_triggers;
     SELECT symbol, exchange FROM symbols WHERE (symbol, exchange) IN (${pairs.join(', ')}) FOR KEY SHARE`,
  );
  const [, , triggers, known] = results as unknown as [
    unknown,
    unknown,
    { rows: [{ own_triggers: boolean }] },
    { rows: SymbolKey[] },
  ];
  if (triggers.rows[0].own_triggers) {
    await client.query(END_CHECKED);
    return false;
  }
  if (known.rows.length < symbols.length) {
    throw new HyperfeedError(
      FOREIGN_KEY_VIOLATION,
      `${symbols.length - known.rows.length} symbols of a batch are not in "symbols"`,
    );
  }
  return true;
}

/** What follows in the transaction is checked as ever. */
export const END_CHECKED = 'SET LOCAL session_replication_role = origin;';

/** The markets of rows of trades, each once. */
export function symbolsIn(payloads: readonly Buffer[]): SymbolKey[] {
  const seen = new Map<string, SymbolKey>();
  for (const payload of payloads) {
    const text = payload.toString();
    for (let at = 0, end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', at)) {
      const from = text.indexOf('\t', at) + 1;
      const middle = text.indexOf('\t', from);
      const key = text.slice(from, text.indexOf('\t', middle + 1));
      if (!seen.has(key)) {
        const [symbol = '', exchange = ''] = key.split('\t').map(copyCell);
        seen.set(key, { symbol, exchange });
      }
      at = end + 1;
    }
  }
  return [...seen.values()];
}
