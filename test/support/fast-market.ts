/**
 * A simulated exchange that is some minutes behind, and catches up in seconds when it is told to: so
 * candles close while a test watches.
 */
import { simulate, type Simulation } from './daemon.ts';

const HURRY = 90;
const MINUTE_MS = 60_000;

export interface FastMarket extends Simulation {
  /** From now on its time flies, until it is the present. As many trades a minute as ever. */
  hurry(): void;
  caughtUp(): boolean;
}

export async function simulateMinutes(
  minutes: number,
  options: { readonly symbols: readonly string[]; readonly tradesPerSecond: number },
): Promise<FastMarket> {
  let hurriedSince: number | undefined;
  const behindMs = () => {
    const hurriedMs = hurriedSince === undefined ? 0 : Date.now() - hurriedSince;
    return Math.max(0, minutes * MINUTE_MS - hurriedMs * (HURRY - 1));
  };
  const simulation = await simulate({
    ...options,
    historyCandles: 0,
    clock: () => Date.now() - behindMs(),
  });
  return {
    ...simulation,
    hurry: () => void (hurriedSince ??= Date.now()),
    caughtUp: () => behindMs() === 0,
  };
}
