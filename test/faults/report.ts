/** What came of the scenarios, as a table: on the terminal and in docs/reliability.md. */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { markdownTable } from '../support/docs-table.ts';
import { ROOT } from './project.ts';
import type { Outcome } from './run-scenario.ts';
import type { Size } from './scenario.ts';

const HEAD = ['scenario', 'faults: happened / planned', 'emitted', 'lost', 'doubled', 'changed', 'by REST', 'seconds', 'held']; // prettier-ignore

export function renderLine(outcome: Outcome): string {
  const { name, seed, seconds, skipped, problems } = outcome;
  if (skipped !== undefined) return `SKIP ${name}: ${skipped}`;
  return `${problems.length > 0 ? 'FAIL' : 'ok  '} ${name} (seed ${seed}, ${seconds} s): ${cells(outcome).slice(1, 6).join(', ')}`; // prettier-ignore
}

export function renderProblems({ problems }: Outcome): string[] {
  return problems.map((problem) => `     ${problem}`);
}

export function renderTable(outcomes: readonly Outcome[]): string {
  return markdownTable(HEAD, outcomes.map(cells));
}

function cells({ name, faults, verdict, refilled, seconds, skipped, problems }: Outcome): string[] {
  if (skipped !== undefined) return [name, `skipped: ${skipped}`];
  const planned = faults.map((one) => `${one.fault} ${one.happened}/${one.planned}`).join(', ');
  const sum = (what: 'emitted' | 'lost' | 'doubled' | 'changed') =>
    verdict ? String(verdict.trades[what] + verdict.candles[what]) : '?';
  const held = problems.length === 0 ? 'yes' : 'NO';
  return [name, planned, sum('emitted'), sum('lost'), sum('doubled'), sum('changed'), String(refilled), String(seconds), held]; // prettier-ignore
}

const PATH = join(ROOT, 'docs/reliability.md');
const [BEGIN, END] = ['<!-- faults: begin -->', '<!-- faults: end -->'];

/** Between the marks of the page; the words around them are written by hand. */
export async function writeReport(report: {
  readonly outcomes: readonly Outcome[];
  readonly seed: number;
  readonly size: Size;
}): Promise<void> {
  const page = await readFile(PATH, 'utf8');
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`${PATH} has lost its marks`);
  await writeFile(PATH, `${before}${BEGIN}\n\n${section(report)}\n\n${END}${after}`);
}

function section({ outcomes, seed, size }: Parameters<typeof writeReport>[0]): string {
  const [cpu] = cpus();
  const machine = `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
  const command = `npm run test:faults -- ${size === 'short' ? '--short ' : ''}--seed ${seed}`;
  return [
    `\`${command}\`, ${new Date().toISOString().slice(0, 10)}, ${machine}.`,
    '',
    renderTable(outcomes),
    '',
    ...outcomes.map(({ name, what }) => `- \`${name}\`: ${what}`),
  ].join('\n');
}
