/** `hyperfeed quarantine list | replay`: rows that the database refused. */
import type { Client } from 'pg';
import type { Logger } from '../log.ts';
import { withClient } from '../schema/connect.ts';
import { type Outcome, prepareReplay, replayRow } from '../writers/quarantine-replay.ts';
import { commandSession, isoTime } from './database-session.ts';
import { textTable } from './text-table.ts';

export interface QuarantineOptions {
  readonly databaseUrl: string;
  readonly allowInsecure: boolean;
  /** Undefined: of all. */
  readonly exchange: string | undefined;
  readonly json: boolean;
  /** Resolves when the text is taken. */
  readonly write: (text: string) => Promise<void>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

interface Kept {
  readonly id: string;
  readonly exchange: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly line: Buffer;
  readonly sqlstate: string;
  readonly message: string;
  readonly at: string;
  readonly replayedAt: string | null;
}

const PAGE = 500;
const EXIT_REFUSED = 1;

const ROWS = `
  SELECT id, exchange, table_name AS table, column_names AS columns, line, sqlstate, message,
         ${isoTime('at')} AS at, ${isoTime('replayed_at')} AS "replayedAt"
    FROM ingest_quarantine
   WHERE ($1::text IS NULL OR exchange = $1) AND (replayed_at IS NULL OR $2) AND id > $3
     AND ($4::bigint[] IS NULL OR id = ANY ($4))
   ORDER BY id LIMIT ${PAGE}`;

/** Resolves to the exit code. `all`: also those that were replayed. */
export async function runQuarantineList(
  options: QuarantineOptions & { readonly all: boolean },
): Promise<number> {
  const { exchange, json, write } = options;
  return withSession(options, async (client) => {
    let count = 0;
    for await (const rows of pages(client, exchange, options.all, null)) {
      count += rows.length;
      if (json) await write(rows.map((row) => `${JSON.stringify(shown(row))}\n`).join(''));
      else await write(table(rows));
    }
    if (count === 0 && !json) await write('no rows in quarantine\n');
    return 0;
  });
}

/** Resolves to the exit code: 1 when a row is refused still, or none of an id waits. `ids`: only these. */
export async function runQuarantineReplay(
  options: QuarantineOptions & { readonly ids: readonly string[] },
): Promise<number> {
  const { exchange, ids, json, write, signal } = options;
  return withSession(options, async (client) => {
    await prepareReplay(client);
    const absent = new Set(ids);
    const counts: Record<Outcome['kind'], number> = { stored: 0, known: 0, refused: 0 };
    for await (const rows of pages(client, exchange, false, ids.length > 0 ? ids : null)) {
      for (const row of rows) {
        signal.throwIfAborted();
        const outcome = await replayRow(client, row);
        counts[outcome.kind]++;
        absent.delete(row.id);
        if (json) await write(`${JSON.stringify({ id: row.id, ...outcome })}\n`);
        else if (outcome.kind === 'refused')
          await write(`${row.id}: refused still, ${outcome.sqlstate} ${outcome.message}\n`);
      }
    }
    for (const id of absent) {
      if (json) await write(`${JSON.stringify({ id, kind: 'absent' })}\n`);
      else await write(`${id}: no such row waits; hyperfeed quarantine list --all shows each\n`);
    }
    const { stored, known, refused } = counts;
    if (!json) await write(`${stored} stored, ${known} known already, ${refused} refused still\n`);
    return refused + absent.size > 0 ? EXIT_REFUSED : 0;
  });
}

function withSession<T>(
  { databaseUrl, allowInsecure, logger, signal }: QuarantineOptions,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const clientConfig = commandSession(databaseUrl, allowInsecure, 'hyperfeed quarantine');
  return withClient({ clientConfig, logger, signal }, use);
}

/** What comes in meanwhile is not waited for, and what is refused again not met again. */
async function* pages(
  client: Client,
  exchange: string | undefined,
  all: boolean,
  ids: readonly string[] | null,
): AsyncGenerator<Kept[]> {
  for (let after = '0'; ;) {
    const { rows } = await client.query<Kept>(ROWS, [exchange ?? null, all, after, ids]);
    const last = rows.at(-1);
    if (!last) return;
    yield rows;
    after = last.id;
  }
}

/** The row by its columns, as text: what is no text shows where. */
function shown({ line, columns, ...row }: Kept) {
  const cells = line.toString().split('\t');
  return {
    ...row,
    line: line.toString(),
    row: Object.fromEntries(columns.map((c, i) => [c, cells[i] ?? null])),
  };
}

function table(rows: readonly Kept[]): string {
  const columns = ['ID', 'AT', 'EXCHANGE', 'TABLE', 'SQLSTATE', 'REPLAYED', 'ROW'];
  const cells = rows.map(({ id, at, exchange, table: name, sqlstate, replayedAt, line }) => {
    // A cell of text is one line, whatever the row holds.
    const row = JSON.stringify(line.toString().replaceAll('\t', ' ')).slice(1, -1);
    return [id, at, exchange, name, sqlstate, replayedAt, row];
  });
  return textTable(columns, cells);
}
