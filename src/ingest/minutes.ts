/** Minutes of the exchange's clock: what a candle covers. */
import type { Micros } from './events.ts';

export const MINUTE: Micros = 60_000_000;

/** When the minute began that holds this time. */
export function minuteOf(time: Micros): Micros {
  return Math.floor(time / MINUTE) * MINUTE;
}
