/** What is changed in copies of the sources is still there to be changed. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FAILPOINTS } from '../faults/failpoints.ts';
import { MUTANTS } from '../faults/mutants.ts';
import { apply, misfits } from '../faults/patches.ts';
import { ROOT } from '../faults/project.ts';
import { SCENARIOS } from '../faults/scenarios/index.ts';

test.each(MUTANTS)('$name: $what', async ({ patches, caughtBy }) => {
  expect(await misfits(patches)).toEqual([]);
  if ('scenario' in caughtBy) {
    expect(SCENARIOS.map(({ name }) => name)).toContain(caughtBy.scenario);
  } else {
    expect(await readFile(join(ROOT, caughtBy.test), 'utf8')).toContain('test(');
  }
});

test('failpoints', async () => {
  expect(await misfits(FAILPOINTS.map(({ patch }) => patch))).toEqual([]);
});

test('a patch that fits twice, or not at all, is refused', () => {
  const patch = { file: 'a.ts', find: 'x', replace: 'y' };
  expect(apply('axb', patch)).toBe('ayb');
  expect(() => apply('axbx', patch)).toThrow('a.ts has 2 times');
  expect(() => apply('ab', patch)).toThrow('a.ts has 0 times');
});

test('names of scenarios are distinct', () => {
  expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length);
});
