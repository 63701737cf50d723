/**
 * The fault suite:
 *
 *   npm run test:faults                      all scenarios
 *   npm run test:faults -- NAME...           these
 *   npm run test:faults -- --short           the part of `npm test`
 *   npm run test:faults -- --seed 7 NAME     as it was with that seed
 *   npm run test:faults -- --soak 60         random faults, all kinds, for so many minutes
 *   npm run test:faults -- --write           and put the table into docs/reliability.md
 */
import { parseArgs } from 'node:util';
import { hasPsql } from './psql.ts';
import { ROOT } from './project.ts';
import { renderLine, renderProblems, renderTable, writeReport } from './report.ts';
import { type Outcome, runScenario } from './run-scenario.ts';
import type { Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios/index.ts';
import { soak } from './scenarios/soak.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false },
    seed: { type: 'string' },
    soak: { type: 'string' },
    write: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    /** A copy of the project to put to the test instead. */
    source: { type: 'string', default: ROOT },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  if (values.list) {
    for (const { name, what, short } of SCENARIOS)
      console.log(`${short ? '*' : ' '} ${name}: ${what}`);
    return 0;
  }
  const chosen = choose();
  if (typeof chosen === 'string') return usage(chosen);
  if (!(await hasPsql())) return usage('psql is not on PATH: apt-get install postgresql-client');
  const seed = wholeNumber(values.seed) ?? Date.now() % 1_000_000;
  const size = values.short ? 'short' : 'full';
  const outcomes: Outcome[] = [];
  for (const scenario of chosen) {
    const outcome = await runScenario(scenario, { seed, size, source: values.source });
    outcomes.push(outcome);
    console.log(renderLine(outcome));
    for (const line of renderProblems(outcome)) console.log(line);
    if (values.write) await writeReport({ outcomes, seed, size });
  }
  console.log(`\n${renderTable(outcomes)}\n\nseed ${seed}`);
  return outcomes.some(({ problems }) => problems.length > 0) ? 1 : 0;
}

function choose(): readonly Scenario[] | string {
  for (const [name, text] of Object.entries({ seed: values.seed, soak: values.soak })) {
    if (text !== undefined && wholeNumber(text) === undefined)
      return `--${name} takes a whole number`;
  }
  if (values.soak !== undefined) return [soak(Number(values.soak))];
  const unknown = positionals.find((name) => !SCENARIOS.some((one) => one.name === name));
  if (unknown !== undefined) return `no scenario ${unknown}; --list shows them`;
  if (positionals.length > 0) return SCENARIOS.filter(({ name }) => positionals.includes(name));
  return SCENARIOS.filter(({ short }) => short === true || !values.short);
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function usage(problem: string): number {
  console.error(problem);
  return 2;
}
