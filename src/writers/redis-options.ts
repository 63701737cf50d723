/** How every connection to Redis is made, whichever kind of installation it belongs to. */
import { readFileSync } from 'node:fs';
import type { RedisOptions } from 'ioredis';
import type { Config } from '../config.ts';
import { codeOf, UsageError } from '../errors.ts';
import { parseRedisUrl, type RedisAddress } from '../redis-url.ts';
import { checkInsecure, isLocal, MIN_TLS_VERSION } from '../transport.ts';

/** Hears of a frozen server during the handshake, when no pipeline watches the time. */
const SOCKET_TIMEOUT_MS = { single: 2_000, sentinel: 1_000, cluster: 1_000 } as const;
const CONNECT_TIMEOUT_MS = 3_000;
/** Behind Sentinels another server is the primary soon: it is asked for more often. */
const MAX_DELAY_MS = { single: 1_000, sentinel: 400, cluster: 400 } as const;

/** What a single server, one behind Sentinels and one of a cluster have in common. */
type CommonOptions = Pick<
  RedisOptions,
  | 'username'
  | 'password'
  | 'db'
  | 'tls'
  | 'lazyConnect'
  | 'connectionName'
  | 'connectTimeout'
  | 'socketTimeout'
  | 'disconnectTimeout'
  | 'maxRetriesPerRequest'
  | 'autoResendUnfulfilledCommands'
  | 'reconnectOnError'
>;

export interface RedisSetup {
  readonly address: RedisAddress;
  readonly options: CommonOptions;
  readonly delayOf: (attempt: number) => number;
  /** Of a server that Sentinels or the cluster name: throws where it must not be spoken to. */
  readonly checkHost: (host: string) => void;
}

/** Throws UsageError for what is not set, not readable, or must not be. */
export function redisSetup(redis: Config['redis']): RedisSetup {
  const { url, allowInsecure } = redis;
  if (url === undefined) {
    throw new UsageError('config_invalid', 'redis.url is not set (or set redis.enabled to false)');
  }
  const address = parseRedisUrl(url);
  const { kind, username, password, database, hosts } = address;
  const check = (names: readonly string[]) =>
    address.tls ||
    checkInsecure({ key: 'redis.url', hosts: names, allowInsecure }, 'plaintext', 'rediss://');
  check(hosts.map(({ host }) => host));
  const delayOf = (attempt: number) =>
    Math.min(50 * 2 ** (attempt - 1), MAX_DELAY_MS[kind]) + Math.random() * 250;
  return {
    address,
    delayOf,
    checkHost: (host) => void (isLocal(host) || check([host])),
    options: {
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      db: database,
      ...(address.tls && { tls: tlsOptions(redis) }),
      lazyConnect: true,
      connectionName: 'hyperfeed',
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SOCKET_TIMEOUT_MS[kind],
      disconnectTimeout: 500,
      // No commandTimeout: it fails the promise but leaves the command queued, so that a frozen server
      // would still be sent more and more.
      // With 0, whatever was sent fails when its connection closes. With more, it would wait for later
      // attempts, and without the resend be forgotten without ever failing.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      // A primary that became a replica keeps its connections.
      reconnectOnError: ({ message }) => message.startsWith('READONLY'),
    },
  };
}

function tlsOptions({ caFile, certFile, keyFile }: Config['redis']) {
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new UsageError('config_invalid', 'redis.certFile and redis.keyFile go together');
  }
  return {
    // Whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    rejectUnauthorized: true,
    minVersion: MIN_TLS_VERSION,
    ...(caFile !== undefined && { ca: read('caFile', caFile) }),
    ...(certFile !== undefined && { cert: read('certFile', certFile) }),
    ...(keyFile !== undefined && { key: read('keyFile', keyFile) }),
  } as const;
}

function read(key: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const why = codeOf(error) ?? 'not a file';
    throw new UsageError('config_invalid', `redis.${key}: ${path} cannot be read (${why})`);
  }
}
