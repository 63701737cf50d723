/** Two candles of one minute, compared. */
import type { Candle } from './events.ts';
import { compareDecimals } from './wire.ts';

export type CandleValues = Pick<Candle, 'open' | 'high' | 'low' | 'close' | 'volume' | 'trades'>;

const NUMBERS = ['open', 'high', 'low', 'close', 'volume'] as const;

/** Columns that differ: in their numbers, however these are written; in trades where both tell it. */
export function candleDifferences(a: CandleValues, b: CandleValues): (keyof CandleValues)[] {
  const differ: (keyof CandleValues)[] = NUMBERS.filter(
    (field) => compareDecimals(a[field], b[field]) !== 0,
  );
  if (a.trades !== null && b.trades !== null && a.trades !== b.trades) differ.push('trades');
  return differ;
}

export function sameCandle(a: CandleValues, b: CandleValues): boolean {
  return candleDifferences(a, b).length === 0;
}
