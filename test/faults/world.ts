/** What one run of a scenario has for itself: its chance, its faults, and what must go when it ends. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createRandom } from '../support/random.ts';

export type Faults = Readonly<Record<string, number>>;
export type World = ReturnType<typeof createWorld>;

export function createWorld(seed: number, planned: Faults) {
  const random = createRandom(seed);
  const happened = new Map<string, number>();
  const cleanups: (() => unknown)[] = [];

  return {
    seed,
    random,
    /** A whole number in [0, below). */
    draw: (below: number) => Math.floor(random() * below),
    pick: <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T,
    /** How often this fault is to happen. Throws for one that is not in the plan. */
    planned(fault: string): number {
      const count = planned[fault];
      if (count === undefined) throw new RangeError(`no fault ${fault} is planned`);
      return count;
    },
    happened(fault: string, count = 1): void {
      happened.set(fault, (happened.get(fault) ?? 0) + count);
    },
    /** Planned and happened, by fault: also what happened without a plan. */
    faults(): readonly { fault: string; planned: number; happened: number }[] {
      const names = new Set([...Object.keys(planned), ...happened.keys()]);
      return [...names].map((fault) => ({
        fault,
        planned: planned[fault] ?? 0,
        happened: happened.get(fault) ?? 0,
      }));
    },
    defer(cleanup: () => unknown): void {
      cleanups.push(cleanup);
    },
    /** The last that came goes first. One that fails does not keep the others. */
    async clear(): Promise<unknown[]> {
      const problems: unknown[] = [];
      for (let next = cleanups.pop(); next; next = cleanups.pop()) {
        try {
          await next();
        } catch (error) {
          problems.push(error);
        }
      }
      return problems;
    },
  };
}

/** The first truthy value of `condition`, which is asked over and over. What it throws is thrown. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  { timeoutMs = 30_000, everyMs = 20 } = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await sleep(everyMs);
  }
}
