/**
 * The Redis keys of section 3 of docs/schema-document.md: their names and how to read their fields.
 * For this daemon and for every service that reads what it writes.
 *
 *   price:{exchange}:{symbol}          HASH  price, timestamp, volume (size of the last trade)
 *   orderbook:{exchange}:{symbol}      HASH  bids, asks (JSON [["price","amount"],...], best first), timestamp
 *   metrics:{component}:{metric_name}  HASH  value, timestamp
 *
 * Numbers are the exchange's digits, never a float. Timestamps are milliseconds since the epoch.
 */

export type RedisKey =
  | { readonly kind: 'price'; readonly exchange: string; readonly symbol: string }
  | { readonly kind: 'orderbook'; readonly exchange: string; readonly symbol: string }
  | { readonly kind: 'metrics'; readonly component: string; readonly name: string };

/** `prefix` is put before every key, as it is. */
export function createKeyspace(prefix = '') {
  return {
    price: (exchange: string, symbol: string) => `${prefix}price:${exchange}:${symbol}`,
    orderBook: (exchange: string, symbol: string) => `${prefix}orderbook:${exchange}:${symbol}`,
    metric: (component: string, name: string) => `${prefix}metrics:${component}:${name}`,
    /** Undefined: not one of these keys. */
    parse: (key: string): RedisKey | undefined =>
      key.startsWith(prefix) ? parseKey(key.slice(prefix.length)) : undefined,
  };
}

/** Symbols contain ':' (`BTC/USDT:USDT`), so only the first two part a key. */
function parseKey(key: string): RedisKey | undefined {
  const [, kind, first, rest] = /^([^:]+):([^:]+):(.+)$/s.exec(key) ?? [];
  if (first === undefined || rest === undefined) return undefined;
  if (kind === 'price' || kind === 'orderbook') return { kind, exchange: first, symbol: rest };
  return kind === 'metrics' ? { kind, component: first, name: rest } : undefined;
}

type Fields = Readonly<Record<string, string>>;
type Level = readonly [price: string, amount: string];

/** Each takes what HGETALL gives; undefined: the key does not exist (any more). */
export function readPrice({ price, volume, timestamp }: Fields) {
  if (price === undefined || volume === undefined || timestamp === undefined) return undefined;
  return { price, volume, timestamp: Number(timestamp) };
}

export function readOrderBook({ bids, asks, timestamp }: Fields) {
  if (bids === undefined || asks === undefined || timestamp === undefined) return undefined;
  return {
    bids: JSON.parse(bids) as readonly Level[],
    asks: JSON.parse(asks) as readonly Level[],
    timestamp: Number(timestamp),
  };
}

export function readMetric({ value, timestamp }: Fields) {
  if (value === undefined || timestamp === undefined) return undefined;
  return { value, timestamp: Number(timestamp) };
}
