/** What the server says of some rows, in a transaction that is not kept. */
import type { Client } from 'pg';
import { codeOf, messageOf } from '../errors.ts';
import { type SymbolKey, symbolsIn } from './foreign-key.ts';
import { actionOf } from './pg-errors.ts';
import type { SpooledRow } from './quarantine.ts';
import type { Refusal } from './refused-rows.ts';
import { adoptSymbols, insertRows, type Rows } from './store-sql.ts';
import { tableOf, TABLES } from './tables.ts';

/** Runs a step of it, with a deadline. */
export type Guarded = <T>(work: () => Promise<T>) => Promise<T>;

/** A symbol that is unknown still could not be made known. */
const REFUSED: ReadonlySet<string> = new Set(['isolate', 'symbols', 'stage']);
const NEWLINE = Buffer.from('\n');
/** Somebody may delete a symbol as soon as it is known, and the row is not to blame. */
const ADOPTIONS = 3;

/** Undefined: it takes them. Throws what is not their fault. */
export async function refusalOf(
  client: Client,
  rows: readonly SpooledRow[],
  guarded: Guarded,
): Promise<Refusal | undefined> {
  const table = tableOf(rows[0]!.table);
  const text = Buffer.concat(rows.flatMap(({ line }) => [line, NEWLINE]));
  for (let left = table === TABLES.trade ? ADOPTIONS : 0; ; left--) {
    const refusal = await guarded(() => tried(client, { table, text, count: rows.length }));
    if (left === 0 || refusal === undefined || !isMissingSymbol(refusal)) return refusal;
    if (!(await guarded(() => adoptAll(client, symbolsIn([text]))))) return refusal;
  }
}

async function tried(client: Client, rows: Rows, staged = false): Promise<Refusal | undefined> {
  try {
    await client.query('BEGIN');
    await insertRows(client, rows, staged);
    await client.query('ROLLBACK');
    return undefined;
  } catch (error) {
    const action = actionOf(error);
    if (!REFUSED.has(action)) throw error;
    await client.query('ROLLBACK');
    if (action === 'stage') return tried(client, rows, true);
    const { where = '' } = error as { where?: string };
    const line = /^COPY \w+, line (\d+)/.exec(where)?.[1];
    return {
      sqlstate: codeOf(error) ?? '',
      message: messageOf(error),
      line: line === undefined ? undefined : Number(line),
    };
  }
}

function isMissingSymbol({ sqlstate }: Refusal): boolean {
  return actionOf({ code: sqlstate }) === 'symbols';
}

/** False: `symbols` cannot hold one of them, whose rows are refused then, and no others. */
export async function adoptAll(client: Client, symbols: readonly SymbolKey[]): Promise<boolean> {
  try {
    await adoptSymbols(client, symbols);
    return true;
  } catch (error) {
    if (actionOf(error) !== 'isolate') throw error;
    for (const symbol of symbols) {
      await adoptSymbols(client, [symbol]).catch((reason: unknown) => {
        if (actionOf(reason) !== 'isolate') throw reason;
      });
    }
    return false;
  }
}
