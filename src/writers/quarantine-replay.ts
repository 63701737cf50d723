/** Rows of ingest_quarantine, tried again: each in a transaction of its own, with its mark. */
import type { Client } from 'pg';
import { codeOf, messageOf } from '../errors.ts';
import { symbolsIn } from './foreign-key.ts';
import { actionOf } from './pg-errors.ts';
import { adoptSymbols, createStaging, insertRows } from './store-sql.ts';
import { ALL_TABLES, type Table, TABLES } from './tables.ts';

export interface QuarantinedRow {
  /** A bigint, as text. */
  readonly id: string;
  readonly table: string;
  readonly columns: readonly string[];
  /** Of COPY text, without its newline. */
  readonly line: Buffer;
}

export type Outcome =
  /** In its table now. */
  | { readonly kind: 'stored' }
  /** The table had it already, such as from the exchange's history. */
  | { readonly kind: 'known' }
  | { readonly kind: 'refused'; readonly sqlstate: string; readonly message: string };

const MARK =
  'UPDATE ingest_quarantine SET replayed_at = now() WHERE id = $1 AND replayed_at IS NULL';

/** Throws what is not the row's fault: the connection, a missing table. Nothing is half done then. */
export async function replayRow(client: Client, row: QuarantinedRow): Promise<Outcome> {
  const table = tableNamed(row);
  if (!table) {
    const message = `this version does not write ${row.table} (${row.columns.join(', ')})`;
    return { kind: 'refused', sqlstate: '42703', message };
  }
  const text = Buffer.concat([row.line, Buffer.from('\n')]);
  try {
    if (table === TABLES.trade) await adoptSymbols(client, symbolsIn([text]));
    await client.query('BEGIN');
    const { duplicates } = await insertRows(client, { table, text, count: 1 }, true);
    await client.query(MARK, [row.id]);
    await client.query('COMMIT');
    return { kind: duplicates > 0 ? 'known' : 'stored' };
  } catch (error) {
    const action = actionOf(error);
    if (action !== 'isolate' && action !== 'symbols') throw error;
    await client.query('ROLLBACK');
    return { kind: 'refused', sqlstate: codeOf(error) ?? '', message: messageOf(error) };
  }
}

/** Once per session. */
export const prepareReplay = createStaging;

/** Also its columns are what they were. */
function tableNamed({ table, columns }: QuarantinedRow): Table | undefined {
  return ALL_TABLES.find(
    ({ name, columns: now }) => name === table && now.join() === columns.join(),
  );
}
