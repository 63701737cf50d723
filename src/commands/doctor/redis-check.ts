/** Redis, as the daemon would find it: alone, behind Sentinels or as a cluster. */
import type { Redis } from 'ioredis';
import type { Config } from '../../config.ts';
import { HyperfeedError, reasonOf } from '../../errors.ts';
import { scrub } from '../../log.ts';
import { createRedis } from '../../writers/redis.ts';
import { type Check, type Finding, ok, problem, skipped, warning } from './check.ts';
import { size } from '../status-screen.ts';

const TIMEOUT_MS = 5_000;
/** Redis 6 has been without fixes since 2024. */
const OLDEST = 7;

export function redisCheck({ redis }: Config): Check {
  const { enabled, url } = redis;
  return {
    name: 'redis',
    timeoutMs: TIMEOUT_MS,
    todo: 'is Redis up, reachable from here, and redis.url (REDIS_URL) right?',
    async run(signal) {
      if (!enabled) return [skipped('redis.enabled is false')];
      if (url === undefined) {
        return [problem('redis.url is not set', 'set REDIS_URL, or redis.enabled: false')];
      }
      return withRedis(redis, signal, async (primaries) => {
        const found = await Promise.all(primaries.map((primary) => judge(primary, url)));
        return found.flat();
      });
    },
  };
}

async function withRedis<T>(
  redis: Config['redis'],
  signal: AbortSignal,
  use: (primaries: readonly Redis[]) => Promise<T>,
): Promise<T> {
  const ready = Promise.withResolvers<void>();
  // The client would go on trying: its reason is in what it logs.
  const heard = (fields: { err?: unknown }) => {
    if (fields.err !== undefined) ready.reject(new HyperfeedError('redis', reasonOf(fields.err)));
  };
  const connection = createRedis({
    redis,
    logger: { info: () => undefined, warn: heard, error: heard },
    onReady: ready.resolve,
    onLost: () => undefined,
    onRenewed: () => undefined,
  });
  signal.addEventListener('abort', () => ready.reject(signal.reason as Error), { once: true });
  try {
    connection.connect();
    await ready.promise;
    return await use(connection.primaries());
  } finally {
    connection.disconnect();
  }
}

async function judge(primary: Redis, url: string): Promise<Finding[]> {
  const startedAt = performance.now();
  await primary.ping();
  const tookMs = performance.now() - startedAt;
  const info = parseInfo(await primary.info());
  const version = info.get('valkey_version') ?? info.get('redis_version') ?? '?';
  const name = info.has('valkey_version') ? 'Valkey' : 'Redis';
  const what = `${name} ${version} at ${scrub(url)}, answers in ${tookMs.toFixed(1)} ms`;
  const findings: Finding[] = [];
  if (info.get('role') === 'slave') {
    findings.push(
      problem(`${what}: a replica, nothing can be written`, 'name the primary in redis.url'),
    );
  }
  if (Number.parseInt(version, 10) < OLDEST) {
    findings.push(
      warning(`${what}: no longer maintained`, 'upgrade to Redis or Valkey 7.2 or newer'),
    );
  }
  const evicting = judgeMemory(info);
  if (evicting) findings.push(evicting);
  return findings.some(({ what: said }) => said.startsWith(what))
    ? findings
    : [ok(what), ...findings];
}

function judgeMemory(info: ReadonlyMap<string, string>): Finding | undefined {
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  const limit = Number(info.get('maxmemory') ?? 0);
  const used = Number(info.get('used_memory') ?? 0);
  if (policy.startsWith('allkeys')) {
    const now = limit === 0 ? 'once maxmemory is set' : `at ${size(limit)}`;
    return warning(
      `maxmemory-policy is ${policy}: ${now}, prices and books vanish without a word`,
      'CONFIG SET maxmemory-policy noeviction, in its configuration too',
    );
  }
  // volatile-*: only keys that expire, and ours are back with the next update.
  if (limit > 0 && used > 0.8 * limit) {
    return warning(
      `${size(used)} of maxmemory ${size(limit)} are used`,
      'raise maxmemory: at the limit, writes are refused',
    );
  }
  return undefined;
}

function parseInfo(text: string): Map<string, string> {
  const pairs = text.split('\r\n').map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1)];
  });
  return new Map(pairs);
}
