/** The limit: psql loads a ready file with \copy, by one connection, as fast as the server takes it. */
import { writeFile } from 'node:fs/promises';
import { run } from '../src/embedded/run.ts';
import type { Table } from '../src/writers/tables.ts';
import type { Sample } from './harness.ts';
import { cpuIn } from './proc.ts';

export interface Load {
  readonly url: string;
  readonly table: Table;
  /** COPY text on disk. */
  readonly file: string;
  readonly rows: number;
}

export async function psqlCopy({ url, table, file, rows }: Load): Promise<Sample> {
  const copy = `\\copy ${table.name} (${table.columns.join(', ')}) FROM '${file}'`;
  const cpu = `SELECT pg_read_file('/proc/self/stat', 0, 1000)`;
  const timed = ['\\timing on', copy, '\\timing off', cpu];
  const output = await run(
    ['psql', url, '-XAt', '-v', 'ON_ERROR_STOP=1', ...timed.flatMap((line) => ['-c', line])],
    { timeoutMs: 3_600_000 },
  );
  const ms = Number(/^Time: ([\d.]+) ms/m.exec(output)?.[1]);
  const stat = output.trimEnd().split('\n').at(-1) ?? '';
  return { value: (rows * 1000) / ms, details: { 'server µs': cpuIn(stat) / rows } };
}

export async function psqlExport(url: string, query: string, file: string): Promise<void> {
  await run([
    'psql',
    url,
    '-XAtq',
    '-v',
    'ON_ERROR_STOP=1',
    '-c',
    `\\copy (${query}) TO '${file}'`,
  ]);
}

export async function writeRows(folder: string, name: string, text: Buffer): Promise<string> {
  const path = `${folder}/${name}.copy`;
  await writeFile(path, text);
  return path;
}
