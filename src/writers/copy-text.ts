/** Cells -> one line of COPY text (https://www.postgresql.org/docs/current/sql-copy.html, Text Format). */
import type { Micros } from '../ingest/events.ts';

const SPECIAL = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
};
const UNESCAPED: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r' };

/** Null becomes `\N`; every other cell comes back from PostgreSQL as it was. */
export function copyLine(cells: readonly (string | number | null)[]): string {
  let line = '';
  for (let i = 0; i < cells.length; i++) {
    const cell = cells[i] ?? null;
    const text = cell === null ? '\\N' : typeof cell === 'number' ? String(cell) : escaped(cell);
    line += i === 0 ? text : `\t${text}`;
  }
  return `${line}\n`;
}

/** A text as a cell. */
export function escaped(cell: string): string {
  // Nearly every cell is a number or a name: look before replacing.
  return SPECIAL.test(cell) ? cell.replace(/[\\\t\n\r]/g, (char) => ESCAPES[char] ?? char) : cell;
}

/** What a cell of COPY text stands for; not for `\\N`. */
export function copyCell(cell: string): string {
  return cell.replace(/\\([\\tnr])/g, (_, char: string) => UNESCAPED[char] ?? char);
}

let lastSecond = NaN;
let lastPrefix = '';
const THREE_DIGITS = Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, '0'));

/** `2024-08-08 23:54:15.342000+00`, to the microsecond. Rows of one second share its prefix. */
export function copyTimestamp(time: Micros): string {
  return `${timestampWithoutZone(time)}+00`;
}

/** For who has more to append: each piece of a row costs 15 ns. */
export function timestampWithoutZone(time: Micros): string {
  const second = Math.floor(time / 1_000_000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastPrefix = new Date(second * 1000).toISOString().slice(0, 20).replace('T', ' ');
  }
  const micros = Math.floor(time) - second * 1_000_000;
  const millis = Math.floor(micros / 1000);
  return `${lastPrefix}${THREE_DIGITS[millis]}${THREE_DIGITS[micros - millis * 1000]}`;
}

const TIMESTAMP = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?\+00$/;

/** Whether a cell is a time, as `copyTimestamp` makes them, that there is. */
export function isTimestamp(cell: string): boolean {
  if (!TIMESTAMP.test(cell)) return false;
  const second = `${cell.slice(0, 10)}T${cell.slice(11, 19)}`;
  const time = Date.parse(`${second}Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(second);
}
