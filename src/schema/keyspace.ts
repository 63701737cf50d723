/**
 * The Redis keys of section 3 of docs/schema-document.md: their names. For this daemon and for every
 * service that shares its Redis. What the keys hold, and helpers to work with them, is beside this
 * file, in keyspace/.
 *
 *   key                                type  fields                              helpers
 *   session:{token}                    HASH  user_id, expires_at, last_accessed  sessions.ts
 *   refresh_token:{token}              HASH  user_id, expires_at                 sessions.ts
 *   price:{exchange}:{symbol}          HASH  price, timestamp, volume            market.ts
 *   orderbook:{exchange}:{symbol}      HASH  bids, asks, timestamp               market.ts
 *   strategies:active                  SET   ids                                 configuration.ts
 *   strategy:{id}                      HASH  config (JSON), is_active            configuration.ts
 *   risk_limits:{user_id}              HASH  max_position_value, max_daily_loss, configuration.ts
 *                                            max_drawdown
 *   metrics:{component}:{metric_name}  HASH  value, timestamp                    market.ts
 *   rate_limit:{user_id}:{endpoint}    HASH  count, reset_time                   rate-limit.ts
 *
 * Decimals are text, never a float. Timestamps are milliseconds since the epoch.
 */

export type RedisKey =
  | { readonly kind: 'session'; readonly token: string }
  | { readonly kind: 'refresh_token'; readonly token: string }
  | { readonly kind: 'price'; readonly exchange: string; readonly symbol: string }
  | { readonly kind: 'orderbook'; readonly exchange: string; readonly symbol: string }
  | { readonly kind: 'strategies' }
  | { readonly kind: 'strategy'; readonly id: number }
  | { readonly kind: 'risk_limits'; readonly userId: number }
  | { readonly kind: 'metrics'; readonly component: string; readonly name: string }
  | { readonly kind: 'rate_limit'; readonly userId: number; readonly endpoint: string };

export type Keyspace = ReturnType<typeof createKeyspace>;

/** `prefix` is put before every key, as it is. */
export function createKeyspace(prefix = '') {
  return {
    /**
     * `token` is the column session_token of user_sessions as it stands, because the mirror copies
     * that. A service that does not want to keep live tokens, which is wise, stores their SHA-256 in
     * the table and asks for it here; only the service that hands tokens out can decide that.
     */
    session: (token: string) => `${prefix}session:${token}`,
    /** No table stands behind it: whoever writes it decides whether `token` is a hash. */
    refreshToken: (token: string) => `${prefix}refresh_token:${token}`,
    price: (exchange: string, symbol: string) => `${prefix}price:${exchange}:${symbol}`,
    orderBook: (exchange: string, symbol: string) => `${prefix}orderbook:${exchange}:${symbol}`,
    activeStrategies: `${prefix}strategies:active`,
    strategy: (id: number) => `${prefix}strategy:${id}`,
    riskLimits: (userId: number) => `${prefix}risk_limits:${userId}`,
    metric: (component: string, name: string) => `${prefix}metrics:${component}:${name}`,
    rateLimit: (userId: number, endpoint: string) => `${prefix}rate_limit:${userId}:${endpoint}`,
    /** Pattern for SCAN. `parse` tells which of the keys that it finds are really of this kind. */
    pattern: (kind: RedisKey['kind']) => `${prefix.replace(/[*?[\]\\]/g, '\\$&')}${kind}:*`,
    /** Undefined: not one of these keys. */
    parse: (key: string): RedisKey | undefined =>
      key.startsWith(prefix) ? parseKey(key.slice(prefix.length)) : undefined,
  };
}

function parseKey(key: string): RedisKey | undefined {
  if (key === 'strategies:active') return { kind: 'strategies' };
  const [, kind = '', rest] = /^([^:]+):(.+)$/s.exec(key) ?? [];
  if (rest === undefined) return undefined;
  switch (kind) {
    case 'session':
    case 'refresh_token':
      return { kind, token: rest };
    case 'strategy':
      return isId(rest) ? { kind, id: Number(rest) } : undefined;
    case 'risk_limits':
      return isId(rest) ? { kind, userId: Number(rest) } : undefined;
    default:
      return parseTwoParts(kind, rest);
  }
}

/** Symbols and endpoints contain ':' (`BTC/USDT:USDT`), so only the first two part a key. */
function parseTwoParts(kind: string, text: string): RedisKey | undefined {
  const [, first, rest] = /^([^:]+):(.+)$/s.exec(text) ?? [];
  if (first === undefined || rest === undefined) return undefined;
  switch (kind) {
    case 'price':
    case 'orderbook':
      return { kind, exchange: first, symbol: rest };
    case 'metrics':
      return { kind, component: first, name: rest };
    case 'rate_limit':
      return isId(first) ? { kind, userId: Number(first), endpoint: rest } : undefined;
    default:
      return undefined;
  }
}

/** As PostgreSQL writes an INTEGER. */
function isId(text: string): boolean {
  return /^(0|-?[1-9]\d{0,9})$/.test(text);
}
