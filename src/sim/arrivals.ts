/**
 * When trades arrive. They come in clusters: time is cut into windows of 160 ms, and in each four of
 * them a quiet, a busy and two usual ones appear in an order that the seed decides. The mean over
 * four windows is therefore the rate itself, not just near it.
 */
import { hash } from './random.ts';

export type Arrivals = 'clustered' | 'steady';

const WINDOW_MS = 160;
const INTENSITIES = [0.2, 2.4, 0.5, 0.9];
/** A process that was suspended does not make up for the hours that it missed. */
const MAX_STEP_MS = 1000;

export interface ArrivalOptions {
  readonly seed: number;
  readonly kind: Arrivals;
  readonly now: number;
}

export function createArrivals({ seed, kind, now: startTime }: ArrivalOptions) {
  let lastTime = startTime;
  let due = 0;

  const intensity = (now: number): number => {
    if (kind === 'steady') return 1;
    const window = Math.floor(now / WINDOW_MS);
    const start = hash(seed, Math.floor(window / INTENSITIES.length), 0);
    return INTENSITIES[(start + window) % INTENSITIES.length] ?? 1;
  };

  return {
    /** Time passes. */
    advance(now: number, perSecond: number): void {
      const stepMs = Math.min(MAX_STEP_MS, Math.max(0, now - lastTime));
      due += (stepMs * perSecond * intensity(now)) / 1000;
      lastTime = now;
    },
    /** Takes `count` trades if that many are due. */
    take(count: number): boolean {
      if (due < count) return false;
      due -= count;
      return true;
    },
  };
}
