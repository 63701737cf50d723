/**
 * Rate limit of a user on an endpoint: a fixed window, which the first call opens. Exact however
 * many services ask at a time, and one round trip: Redis counts, by its own clock.
 */
import { HyperfeedError } from '../../errors.ts';
import type { Keyspace } from '../keyspace.ts';
import type { Fields } from './fields.ts';
import { createScript, type ScriptClient } from './script.ts';

export interface RateLimitAnswer {
  readonly allowed: boolean;
  /** Calls in this window, this one and the refused ones included. */
  readonly count: number;
  readonly remaining: number;
  /** When the window ends, and the key with it. */
  readonly resetTime: number;
}

/** reset_time decides, not the absence of the key: a copy or a PERSIST may have lost its expiry. */
const countCall = createScript(`
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local reset = tonumber(redis.call('HGET', KEYS[1], 'reset_time') or 0)
  if reset <= now then
    reset = now + ARGV[1]
    redis.call('HSET', KEYS[1], 'count', 0, 'reset_time', reset)
    redis.call('PEXPIREAT', KEYS[1], reset)
  end
  return { redis.call('HINCRBY', KEYS[1], 'count', 1), reset }
`);

export function createRateLimit(client: ScriptClient, keys: Keyspace) {
  /** Counts one call. A window that is open keeps its end when `windowMs` changes. */
  return async function take(
    userId: number,
    endpoint: string,
    { limit, windowMs }: { readonly limit: number; readonly windowMs: number },
  ): Promise<RateLimitAnswer> {
    // A window that ends before it begins would let everybody in.
    if (!Number.isSafeInteger(windowMs) || windowMs < 1) {
      throw new HyperfeedError('rate_limit_window', `windowMs must be 1 or more, is ${windowMs}`);
    }
    const answer = await countCall(client, keys.rateLimit(userId, endpoint), windowMs);
    const [count, resetTime] = answer as [number, number];
    return { allowed: count <= limit, count, remaining: Math.max(0, limit - count), resetTime };
  };
}

export function readRateLimit({ count, reset_time: resetTime }: Fields) {
  if (count === undefined || resetTime === undefined) return undefined;
  return { count: Number(count), resetTime: Number(resetTime) };
}
