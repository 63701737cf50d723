/**
 * Rows that the server refuses go to ingest_quarantine, in the transaction that stores the others of
 * their batch. When they are many it is not the rows: the writer halts instead, and the spool keeps
 * everything.
 */
import { escapeLiteral } from 'pg';
import type { Config } from '../config.ts';
import { HyperfeedError } from '../errors.ts';
import type { Refused } from './refused-rows.ts';
import { tableOf } from './tables.ts';

/** A line of a frame of the spool. */
export interface SpooledRow {
  readonly epoch: string;
  readonly seq: number;
  readonly table: number;
  /** From 0, among the lines of its frame. */
  readonly position: number;
  /** Without its newline. */
  readonly line: Buffer;
}

const WINDOW_MS = 300_000;
/** Of so few, a share says nothing. */
const FEW_ROWS = 50;

export function quarantineSql(exchange: string, refused: readonly Refused<SpooledRow>[]): string {
  if (refused.length === 0) return '';
  const values = refused.map(({ row, refusal }) => {
    const { name, columns } = tableOf(row.table);
    return `(${[
      escapeLiteral(exchange),
      escapeLiteral(name),
      escapeLiteral(`{${columns.join(',')}}`),
      escapeLiteral(row.epoch),
      row.seq,
      row.position,
      `decode('${row.line.toString('hex')}', 'hex')`,
      escapeLiteral(refusal.sqlstate),
      // The server quotes the row in it, and a NUL ends a statement.
      escapeLiteral(refusal.message.replaceAll('\0', '')),
    ].join(', ')})`;
  });
  return `INSERT INTO ingest_quarantine (exchange, table_name, column_names, epoch, seq, position, line,
      sqlstate, message)
    VALUES ${values.join(', ')} ON CONFLICT DO NOTHING;`;
}

/** Tells a bad row from a bad schema, by how many there are of one SQLSTATE in five minutes. */
export function createBreaker(
  limits: Config['database']['quarantine'],
  now = () => performance.now(),
) {
  let seconds: { readonly at: number; rows: number; refused: Map<string, number> }[] = [];

  function forget(): void {
    seconds = seconds.filter(({ at }) => at > now() - WINDOW_MS);
  }

  function countRefused(refused: readonly Refused<unknown>[]): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { refusal } of refused) {
      counts.set(refusal.sqlstate, (counts.get(refusal.sqlstate) ?? 0) + 1);
    }
    return counts;
  }

  return {
    /** Throws `quarantine_full` where these rows would be too many. `rows` is all of their batch. */
    check(rows: number, refused: readonly Refused<unknown>[]): void {
      forget();
      const all = seconds.reduce((sum, second) => sum + second.rows, rows);
      const most = Math.min(limits.maxRows, Math.max(FEW_ROWS, (all * limits.maxPercent) / 100));
      for (const [sqlstate, count] of countRefused(refused)) {
        const before = seconds.reduce((sum, s) => sum + (s.refused.get(sqlstate) ?? 0), 0);
        if (before + count <= most) continue;
        const example = refused.find(({ refusal }) => refusal.sqlstate === sqlstate)?.refusal;
        throw new HyperfeedError(
          'quarantine_full',
          `${before + count} rows within 5 minutes are refused with ${sqlstate} (${example?.message}): ` +
            'this is not the rows. Mend the table; nothing is lost meanwhile. If they are to be set ' +
            'aside all the same, raise database.quarantine.maxRows and maxPercent',
        );
      }
    },
    /** These were stored, and these set aside. */
    note(rows: number, refused: readonly Refused<unknown>[]): void {
      const at = Math.floor(now() / 1000) * 1000;
      let second = seconds.at(-1);
      if (second?.at !== at) {
        forget();
        seconds.push((second = { at, rows: 0, refused: new Map() }));
      }
      second.rows += rows;
      for (const [sqlstate, count] of countRefused(refused)) {
        second.refused.set(sqlstate, (second.refused.get(sqlstate) ?? 0) + count);
      }
    },
  };
}
