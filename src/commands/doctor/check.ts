/** What a check of `hyperfeed doctor` is, and how all of them are run. */
import { HyperfeedError, reasonOf } from '../../errors.ts';
import { scrub } from '../../log.ts';

/** skipped: what it needs has a problem, or it is switched off. */
export type Level = 'ok' | 'warning' | 'problem' | 'skipped';

export interface Finding {
  readonly level: Level;
  readonly what: string;
  /** What to do; with a warning and a problem. */
  readonly todo?: string;
}

export interface Check {
  readonly name: string;
  /** A check before it in the list: if that one has a problem or is skipped, so is this one. */
  readonly after?: string;
  readonly timeoutMs: number;
  /** What to do when `run` throws or does not answer. */
  readonly todo: string;
  run(signal: AbortSignal): Promise<readonly Finding[]>;
}

export interface Checked extends Finding {
  readonly check: string;
}

/** All at once, whatever becomes of the others; in the order of the list. Throws only the signal's reason. */
export async function runChecks(
  checks: readonly Check[],
  signal: AbortSignal,
): Promise<readonly Checked[]> {
  const running = new Map<string, Promise<readonly Finding[]>>();
  for (const check of checks) {
    const before = check.after === undefined ? undefined : running.get(check.after);
    running.set(check.name, runAfter(check, before, signal));
  }
  const results: Checked[] = [];
  for (const [check, findings] of running) {
    results.push(...(await findings).map((finding) => ({ check, ...finding })));
  }
  signal.throwIfAborted();
  return results;
}

async function runAfter(
  check: Check,
  before: Promise<readonly Finding[]> | undefined,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const missing = (await before)?.some(({ level }) => level === 'problem' || level === 'skipped');
  if (missing) return [skipped(`needs ${check.after}`)];
  const { timeoutMs, todo } = check;
  const limit = new AbortController();
  const tooLong = new HyperfeedError('ETIMEDOUT', `no answer within ${timeoutMs / 1000} s`);
  const timer = setTimeout(() => limit.abort(tooLong), timeoutMs);
  const within = AbortSignal.any([signal, limit.signal]);
  const late = new Promise<never>((_, reject) => {
    within.addEventListener('abort', () => reject(within.reason as Error), { once: true });
  });
  try {
    // A check that does not hear the signal is left alone.
    return await Promise.race([check.run(within), late]);
  } catch (error) {
    return [problem(scrub(reasonOf(error)), todo)];
  } finally {
    clearTimeout(timer);
  }
}

export const ok = (what: string): Finding => ({ level: 'ok', what });
export const skipped = (what: string): Finding => ({ level: 'skipped', what });
export const warning = (what: string, todo: string): Finding => ({ level: 'warning', what, todo });
export const problem = (what: string, todo: string): Finding => ({ level: 'problem', what, todo });
