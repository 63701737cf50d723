/**
 * `npm run test:mutants [-- M1 M2...]`: every mutant must be caught, and the sources as they are must
 * pass what catches it.
 */
import { join } from 'node:path';
import { markdownTable } from '../support/docs-table.ts';
import { temporaryFolder } from './flow.ts';
import { type Mutant, MUTANTS } from './mutants.ts';
import { patchedCopy } from './patches.ts';
import { startProcess } from './processes.ts';
import { hasPsql } from './psql.ts';
import { runScenario } from './run-scenario.ts';
import { SCENARIOS } from './scenarios/index.ts';
import { createWorld } from './world.ts';

process.exitCode = await main(process.argv.slice(2));

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => !MUTANTS.some((one) => one.name === name));
  if (unknown !== undefined || !(await hasPsql())) {
    console.error(unknown === undefined ? 'psql is not on PATH' : `no mutant ${unknown}`);
    return 2;
  }
  const seed = Date.now() % 1_000_000;
  const world = createWorld(seed, {});
  /** What the sources as they are come to, by catcher. */
  const clean = new Map<string, readonly string[]>();
  const rows: string[][] = [];
  let failed = false;
  try {
    const folder = await temporaryFolder(world);
    const original = await patchedCopy(join(folder, 'original'), []);
    for (const mutant of MUTANTS.filter(({ name }) => names.length === 0 || names.includes(name))) {
      const catcher = JSON.stringify(mutant.caughtBy);
      const without = clean.get(catcher) ?? (await problemsOf(original, mutant, seed));
      clean.set(catcher, without);
      const copy = await patchedCopy(join(folder, mutant.name), mutant.patches);
      const found = await problemsOf(copy, mutant, seed);
      const ok = without.length === 0 && found.length > 0;
      failed ||= !ok;
      console.log(`${ok ? 'ok  ' : 'FAIL'} ${mutant.name} ${mutant.what}`);
      for (const problem of without) console.log(`     without it: ${firstLine(problem)}`);
      for (const problem of found) console.log(`     caught: ${firstLine(problem)}`);
      rows.push([mutant.name, mutant.what, catcherOf(mutant), found.length > 0 ? 'yes' : 'NO', firstLine(found[0] ?? '')]); // prettier-ignore
    }
  } finally {
    await world.clear();
  }
  console.log(
    `\n${markdownTable(['mutant', 'what', 'caught by', 'caught', 'how'], rows)}\n\nseed ${seed}`,
  );
  return failed ? 1 : 0;
}

async function problemsOf(
  source: string,
  mutant: Mutant,
  seed: number,
): Promise<readonly string[]> {
  const { caughtBy } = mutant;
  if ('test' in caughtBy) return testProblems(source, caughtBy.test, caughtBy.env);
  const scenario = SCENARIOS.find(({ name }) => name === caughtBy.scenario);
  if (!scenario) throw new Error(`no scenario ${caughtBy.scenario}`);
  const { problems, skipped } = await runScenario(scenario, { seed, source, size: caughtBy.size });
  return skipped === undefined ? problems : [`skipped: ${skipped}`];
}

/** Of a test file of the copy. */
async function testProblems(source: string, file: string, env: Readonly<Record<string, string>>) {
  const world = createWorld(0, {});
  try {
    const vitest = join(source, 'node_modules/vitest/vitest.mjs');
    const args = [vitest, 'run', '--root', source, file];
    const child = startProcess(world, process.execPath, args, {
      cwd: source,
      env: { ...env, NO_COLOR: '1' },
    });
    const { code } = await child.ended;
    if (code === 0) return [];
    const failure = [...child.lines, ...child.errors].find((line) => /Error: |FAIL /.test(line));
    return [failure?.trim() ?? `it ended with ${code}`];
  } finally {
    await world.clear();
  }
}

function catcherOf({ caughtBy }: Mutant): string {
  return 'test' in caughtBy ? caughtBy.test : `${caughtBy.scenario} (${caughtBy.size})`;
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').slice(0, 160);
}
