/** Which of the longer candles a batch of candles touches. */
import { copyCell } from './copy-text.ts';

/** Element i of the three arrays names a candle. */
export interface TouchedBuckets {
  readonly times: readonly string[];
  readonly exchanges: readonly string[];
  readonly symbols: readonly string[];
}

/** Of `2026-01-08 08:07`, all but the last digit. */
const TENS_OF_MINUTES = 15;

/**
 * The buckets of five minutes, the finest there are, in which these rows of `market_data` lie, each
 * once: of a backfill a fifth of its rows, and none of them is read a second time by the server.
 */
export function touchedBuckets(rows: Buffer): TouchedBuckets {
  const text = rows.toString();
  const markets = new Map<string, Set<string>>();
  for (let at = 0, end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', at)) {
    const symbolAt = text.indexOf('\t', at) + 1;
    const exchangeAt = text.indexOf('\t', symbolAt) + 1;
    const market = text.slice(symbolAt, text.indexOf('\t', exchangeAt));
    const minutes = text[at + TENS_OF_MINUTES]! < '5' ? '0' : '5';
    let stamps = markets.get(market);
    if (!stamps) markets.set(market, (stamps = new Set()));
    stamps.add(text.slice(at, at + TENS_OF_MINUTES) + minutes);
    at = end + 1;
  }
  const touched = [...markets].flatMap(([market, stamps]) => {
    const [symbol = '', exchange = ''] = market.split('\t').map(copyCell);
    return Array.from(stamps, (stamp) => ({ time: `${stamp}:00+00`, exchange, symbol }));
  });
  return {
    times: touched.map(({ time }) => time),
    exchanges: touched.map(({ exchange }) => exchange),
    symbols: touched.map(({ symbol }) => symbol),
  };
}
