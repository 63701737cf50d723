/** What became of what was asked for, of one channel of one market. */
export interface Tally {
  readonly symbol: string;
  readonly channel: 'candles' | 'trades';
  /** Minutes, or ids. */
  asked: number;
  /** Were not there and are. */
  stored: number;
  /** Were there, corrected ones among them. */
  known: number;
  /** Differed, and are as the exchange has them. */
  corrected: number;
  /** Minutes without a candle at the exchange, or ids that it does not show. */
  missing: number;
  /** By our own checks, or by the database. */
  refused: number;
  /** Of ingest_gaps: ids that are there after all. */
  settled: number;
  /** What the exchange's history does not reach, in words. */
  note?: string;
}

export function newTally(symbol: string, channel: Tally['channel']): Tally {
  const counts = {
    asked: 0,
    stored: 0,
    known: 0,
    corrected: 0,
    missing: 0,
    refused: 0,
    settled: 0,
  };
  return { symbol, channel, ...counts };
}
