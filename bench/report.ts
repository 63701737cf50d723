/** Findings as a table: for a terminal, and as docs/performance.md holds it. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { textTable } from '../src/commands/text-table.ts';
import { HyperfeedError } from '../src/errors.ts';
import { type Finding, holds, type Spread } from './harness.ts';
import type { Machine } from './machine.ts';

export interface Result extends Finding {
  readonly bench: string;
}

const HEADER = ['bench', 'what', 'ours', 'limit', 'ratio', 'goal', 'holds', 'beside it'];
const PAGE = join(import.meta.dirname, '../docs/performance.md');
/** What `--write` replaces is what is between these lines. */
const BEGIN = '<!-- the table: npm run bench -- --write -->';
const END = '<!-- end of the table -->';

export function textReport(results: readonly Result[], machine: Machine): string {
  const judged = results.filter((result) => holds(result) !== undefined);
  const held = judged.filter((result) => holds(result)).length;
  return [
    textTable(HEADER, results.map(cellsOf)),
    `${held} of ${judged.length} goals hold.\n`,
    `${describe(machine)}\n`,
  ].join('');
}

export function markdownReport(results: readonly Result[], machine: Machine): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [
    `\`${machine.command}\`, ${machine.date} UTC, commit ${machine.commit}: ${describe(machine)}`,
    '',
    line(HEADER),
    line(HEADER.map(() => '---')),
    ...results.map((result) => line(cellsOf(result))),
  ].join('\n');
}

export async function writePage(table: string): Promise<void> {
  const page = await readFile(PAGE, 'utf8');
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) {
    throw new HyperfeedError('bench_page', `${PAGE} lacks the lines "${BEGIN}" and "${END}"`);
  }
  const before = page.slice(0, begin + BEGIN.length);
  await writeFile(PAGE, `${before}\n\n${table}\n\n${page.slice(end)}`);
}

function cellsOf(result: Result): string[] {
  const { bench, what, unit, ours, limit, ratio, goal, details } = result;
  const verdict = holds(result);
  return [
    bench,
    what,
    `${ratio ? figure(ours.median) : figures(ours)} ${unit}`,
    limit ? `${limit.name}: ${figure(limit.value.median)}` : '',
    ratio ? figures(ratio) : '',
    goal ?? '',
    verdict === undefined ? '' : verdict ? 'yes' : 'NO',
    Object.entries(details)
      .map(([name, value]) => `${name} ${figure(value)}`)
      .join(', '),
  ];
}

/** `0.97 (0.91-1.02)` */
function figures({ median, lowest, highest }: Spread): string {
  if (lowest === highest) return figure(median);
  return `${figure(median)} (${figure(lowest)}-${figure(highest)})`;
}

/** Three digits that count; no fraction of what is large. */
function figure(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}

function describe({ cpu, cores, memoryGib, node, servers }: Machine): string {
  const parts = [`${cores} x ${cpu}`, `${memoryGib} GiB`, `Node ${node}`, servers];
  return `${parts.filter((part) => part !== undefined).join(', ')}.`;
}
