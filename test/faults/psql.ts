/** The check reads with psql: none of our code, nor of its libraries, stands between it and the rows. */
import { succeeds } from '../../src/embedded/run.ts';
import { runProcess } from './processes.ts';

export const hasPsql = (): Promise<boolean> => succeeds(['psql', '--version']);

/** Output of psql, values only: columns separated by `|`, rows by newlines. */
export function psql(url: string, script: string): Promise<string> {
  return runProcess('psql', [url, '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', '-'], script);
}

/** One row, as an object. */
export async function psqlRow<T>(url: string, query: string): Promise<T> {
  return JSON.parse(await psql(url, `SELECT to_json(r) FROM (${query}) r`)) as T;
}
