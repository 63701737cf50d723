/**
 * The short part of the fault suite: `npm run test:faults` runs all of it, and one of these alone with
 * `npm run test:faults -- --short --seed SEED NAME`.
 */
import { expect, test } from 'vitest';
import { ROOT } from '../faults/project.ts';
import { renderLine } from '../faults/report.ts';
import { runScenario } from '../faults/run-scenario.ts';
import { SCENARIOS } from '../faults/scenarios/index.ts';
import { psqlPath } from '../support/stack.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
/** Some wait for what takes a loaded machine long; none of them is in a hurry. */
const TIMEOUT_MS = 300_000;

for (const scenario of SCENARIOS.filter(({ short }) => short)) {
  test.skipIf(psqlPath === undefined)(
    `${scenario.name}: ${scenario.what}`,
    { timeout: TIMEOUT_MS },
    async (context) => {
      const outcome = await runScenario(scenario, { seed, size: 'short', source: ROOT });
      console.log(renderLine(outcome));
      if (outcome.skipped !== undefined) context.skip(outcome.skipped);
      expect(outcome.problems).toEqual([]);
      expect(outcome.verdict?.trades.emitted).toBeGreaterThan(0);
    },
  );
}
