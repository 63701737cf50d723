/** Runs one scenario and says what came of it. Never rejects: what went wrong is a problem of it. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Life } from './daemon.ts';
import { createFlow } from './flow.ts';
import type { Verdict } from './oracle.ts';
import type { Scenario, Size } from './scenario.ts';
import { settle } from './settle.ts';
import { createWorld, type World } from './world.ts';

export interface Outcome {
  readonly name: string;
  readonly what: string;
  readonly seed: number;
  readonly faults: ReturnType<World['faults']>;
  readonly verdict?: Verdict;
  /** Rows that came by REST. */
  readonly refilled: number;
  readonly seconds: number;
  readonly most?: Readonly<Record<string, number>>;
  /** Set: it did not run, and why. */
  readonly skipped?: string;
  /** Empty: it held. */
  readonly problems: readonly string[];
}

export interface RunOptions {
  readonly seed: number;
  readonly size: Size;
  /** The project, or a mutated copy of it. */
  readonly source: string;
}

export async function runScenario(scenario: Scenario, options: RunOptions): Promise<Outcome> {
  const { name, what } = scenario;
  const { seed, size, source } = options;
  const startedAt = performance.now();
  const known = { name, what, seed };
  const skipped = await scenario.missing?.();
  if (skipped !== undefined) {
    return { ...known, faults: [], refilled: 0, seconds: 0, skipped, problems: [] };
  }
  const world = createWorld(seed, scenario.faults(size));
  const problems: string[] = [];
  let found: Partial<Outcome> = {};
  let lives: readonly Life[] = [];
  let evidence: Readonly<Record<string, string>> = {};
  try {
    const flow = await createFlow(world, source, scenario.flow ?? {});
    ({ lives } = flow);
    await scenario.run(flow, size);
    const settled = await settle(flow, {
      withoutRefill: scenario.withoutRefill ?? false,
      limits: scenario.flow?.limits ?? {},
    });
    problems.push(...settled.problems);
    ({ evidence } = settled);
    found = { verdict: settled.verdict, refilled: settled.refilled, most: { ...flow.watch.most } };
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  if (problems.length > 0) problems.push(`logs: ${await keep(`${name}-${seed}`, lives, evidence)}`);
  for (const error of await world.clear()) problems.push(`afterwards: ${String(error)}`);
  const faults = world.faults();
  for (const { fault, planned, happened } of faults) {
    if (happened < planned) problems.push(`${fault}: ${happened} of ${planned} happened`);
  }
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  return { ...known, refilled: 0, ...found, faults, seconds, problems };
}

/** What each life said, and what was found, for whoever looks into it. */
async function keep(
  name: string,
  lives: readonly Life[],
  evidence: Readonly<Record<string, string>>,
): Promise<string> {
  const folder = join(tmpdir(), 'hyperfeed-faults', name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const logs = lives.map(({ lines, errors }, index) => {
    return [
      `life-${String(index).padStart(3, '0')}.log`,
      [...lines, ...errors, ''].join('\n'),
    ] as const;
  });
  for (const [file, text] of [...logs, ...Object.entries(evidence)]) {
    await writeFile(join(folder, file), text);
  }
  return folder;
}
