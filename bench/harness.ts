/**
 * What a bench is, and how it measures: what we do and the limit that it is held against alternate in
 * one run, and a goal is about the ratio of their medians. Absolute figures move with the machine.
 *
 *   export const bench: Bench = {
 *     name: 'decode',
 *     about: 'parse and map, against JSON.parse alone',
 *     async *run(context) {
 *       yield await compare(context, {
 *         what: 'binance trade frames',
 *         unit: 'µs/frame',
 *         limitName: 'JSON.parse',
 *         goal: '<= 1.35',
 *         ours: () => costOf(FRAMES, () => decodeAll()),
 *         limit: () => costOf(FRAMES, () => parseAll()),
 *       });
 *     },
 *   };
 */
import type { Servers } from './servers.ts';

export type Goal = `${'>=' | '<='} ${number}`;

export interface Bench {
  /** Of the file, and on the command line. */
  readonly name: string;
  readonly about: string;
  run(context: BenchContext): AsyncIterable<Finding>;
}

export interface BenchContext {
  /** How often ours and the limit alternate. */
  readonly rounds: number;
  /** A look instead of a measurement: small amounts. */
  readonly quick: boolean;
  /** What takes an hour as well. */
  readonly large: boolean;
  /** PostgreSQL and Redis, started when they are first asked for. */
  servers(): Promise<Servers>;
  /** An empty folder that goes with the run. */
  folder(name: string): Promise<string>;
  /** What is being done now, for who waits. */
  progress(text: string): void;
}

/** One measurement, and what else it showed, such as `{ 'node µs': 3.2 }`. */
export interface Sample {
  readonly value: number;
  readonly details?: Details;
}

export type Details = Readonly<Record<string, number>>;

export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

/** A line of the table. */
export interface Finding {
  readonly what: string;
  /** Of ours and of the limit. */
  readonly unit: string;
  readonly ours: Spread;
  readonly limit?: { readonly name: string; readonly value: Spread };
  /** Ours / limit: of the medians; lowest and highest are those of single rounds. */
  readonly ratio?: Spread;
  readonly rounds: number;
  /** About the ratio, or about ours where there is no limit. Without it: for information. */
  readonly goal?: Goal;
  /** Medians of what the samples showed beside their value. */
  readonly details: Details;
}

type Measure = (round: number) => Sample | Promise<Sample>;

export interface Comparison {
  readonly what: string;
  readonly unit: string;
  readonly limitName: string;
  readonly goal?: Goal;
  readonly ours: Measure;
  readonly limit: Measure;
}

/** Alternates ours and the limit; who begins alternates too. A first round of both is not counted. */
export async function compare(context: BenchContext, comparison: Comparison): Promise<Finding> {
  const { what, unit, goal, limitName } = comparison;
  const ours: Sample[] = [];
  const limits: Sample[] = [];
  for (let round = 0; round <= context.rounds; round++) {
    context.progress(`${what}, against ${limitName}: ${round} of ${context.rounds}`);
    const turns = [
      async () => ours.push(await comparison.ours(round)),
      async () => limits.push(await comparison.limit(round)),
    ];
    if (round % 2 === 1) turns.reverse();
    for (const turn of turns) await turn();
    if (round > 0) continue;
    ours.length = 0;
    limits.length = 0;
  }
  return finding({ what, unit, goal, limitName, ours, limits });
}

/** Ours alone, for a goal that is an absolute figure. */
export async function measure(
  context: BenchContext,
  { what, unit, goal, ours }: Pick<Comparison, 'what' | 'unit' | 'goal' | 'ours'>,
): Promise<Finding> {
  const samples: Sample[] = [];
  for (let round = 1; round <= context.rounds; round++) {
    context.progress(`${what}: ${round} of ${context.rounds}`);
    samples.push(await ours(round));
  }
  return finding({ what, unit, goal, ours: samples });
}

/** From samples that a bench took itself, pairs of one round at one place. */
export function finding(taken: {
  readonly what: string;
  readonly unit: string;
  readonly goal?: Goal | undefined;
  readonly ours: readonly Sample[];
  readonly limitName?: string | undefined;
  readonly limits?: readonly Sample[] | undefined;
}): Finding {
  const { what, unit, goal, ours, limitName, limits } = taken;
  const values = ours.map((sample) => sample.value);
  const alone = {
    what,
    unit,
    rounds: ours.length,
    ours: spreadOf(values),
    details: mediansOf(ours.map((sample) => sample.details ?? {})),
    ...(goal && { goal }),
  };
  if (!limits || limitName === undefined) return alone;
  const limit = spreadOf(limits.map((sample) => sample.value));
  const ratios = values.map((value, i) => value / (limits[i]?.value ?? NaN));
  const ratio = { ...spreadOf(ratios), median: alone.ours.median / limit.median };
  const ofLimit = mediansOf(limits.map((sample) => sample.details ?? {}));
  const details = {
    ...alone.details,
    ...Object.fromEntries(
      Object.entries(ofLimit).map(([name, value]) => [`limit's ${name}`, value]),
    ),
  };
  return { ...alone, details, limit: { name: limitName, value: limit }, ratio };
}

/** Undefined: it has no goal. */
export function holds({ goal, ratio, ours }: Finding): boolean | undefined {
  if (goal === undefined) return undefined;
  const [relation, bound] = goal.split(' ');
  const { median } = ratio ?? ours;
  return relation === '>=' ? median >= Number(bound) : median <= Number(bound);
}

/** Events a second of the wall clock, and the CPU time of this process for each. */
export async function rateOf(count: number, work: () => void | Promise<void>): Promise<Sample> {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await work();
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { value: count / seconds, details: { 'node µs': (user + system) / count } };
}

/** Microseconds of the wall clock for each; for work that is all CPU. */
export async function costOf(count: number, work: () => void | Promise<void>): Promise<Sample> {
  const startedAt = performance.now();
  await work();
  return { value: ((performance.now() - startedAt) * 1000) / count };
}

export function spreadOf(values: readonly number[]): Spread {
  return {
    median: quantile(values, 0.5),
    lowest: quantile(values, 0),
    highest: quantile(values, 1),
  };
}

/** Of two in the middle their mean. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * part;
  const [below = NaN, above = NaN] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place - Math.floor(place));
}

function mediansOf(all: readonly Details[]): Details {
  const names = new Set(all.flatMap((details) => Object.keys(details)));
  return Object.fromEntries(
    Array.from(names, (name) => {
      const values = all.map((details) => details[name]).filter((value) => value !== undefined);
      return [name, quantile(values, 0.5)];
    }),
  );
}
