/** Longer candles straight from those of a minute: every frame for itself, in whole numbers. */
import type { Candle } from '../../src/ingest/events.ts';

export interface LongCandle extends Record<string, string | null> {
  timeframe: string;
  exchange: string;
  symbol: string;
  /** Microseconds. */
  time: string;
  open: string;
  high: string;
  low: string;
  close: string;
  volume: string;
  trades: string | null;
}

const MINUTE = 60_000_000;
/** As the view sorts them. */
const FRAMES = { '15m': 15, '1d': 1440, '1h': 60, '4h': 240, '5m': 5 };
const SCALE = 30;

/** Of several versions of a minute the last counts. */
export function recompute(versions: readonly Candle[]): LongCandle[] {
  const minutes = new Map<string, Candle>();
  for (const candle of versions) minutes.set(keyOf(candle, candle.time), candle);
  return Object.entries(FRAMES).flatMap(([timeframe, length]) => {
    const startOf = ({ time }: Candle) => time - (time % (length * MINUTE));
    const buckets = Map.groupBy(minutes.values(), (one) => keyOf(one, startOf(one)));
    return [...buckets.values()]
      .map((bucket) => combine(timeframe, startOf(bucket[0] as Candle), bucket))
      .toSorted((a, b) => compare(sortKey(a), sortKey(b)));
  });
}

function combine(timeframe: string, start: number, unsorted: Candle[]): LongCandle {
  const bucket = unsorted.toSorted((a, b) => a.time - b.time);
  const first = bucket[0] as Candle;
  const last = bucket.at(-1) as Candle;
  const highs = bucket.map(({ high }) => scaled(high));
  const lows = bucket.map(({ low }) => scaled(low));
  return {
    timeframe,
    exchange: first.exchange,
    symbol: first.symbol,
    time: String(start),
    open: text(scaled(first.open)),
    high: text(highs.reduce((a, b) => (a > b ? a : b))),
    low: text(lows.reduce((a, b) => (a < b ? a : b))),
    close: text(scaled(last.close)),
    volume: text(bucket.reduce((sum, { volume }) => sum + scaled(volume), 0n)),
    trades: bucket.some(({ trades }) => trades === null)
      ? null
      : String(bucket.reduce((sum, { trades }) => sum + (trades ?? 0), 0)),
  };
}

const keyOf = ({ exchange, symbol }: Candle, time: number) => `${exchange} ${symbol} ${time}`;
const sortKey = ({ exchange, symbol, time }: LongCandle) => `${exchange} ${symbol} ${time}`;
const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function scaled(decimal: string): bigint {
  const [whole = '', fraction = ''] = decimal.split('.');
  return BigInt(whole + fraction.padEnd(SCALE, '0'));
}

/** Without trailing zeros. */
function text(value: bigint): string {
  const digits = String(value).padStart(SCALE + 1, '0');
  return `${digits.slice(0, -SCALE)}.${digits.slice(-SCALE)}`.replace(/\.?0+$/, '');
}
