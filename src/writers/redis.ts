/**
 * A connection to Redis that costs neither memory nor time when Redis is dead or frozen.
 *
 * It reconnects for ever. A command either is answered or fails: nothing waits while there is no
 * connection, and nothing is sent again by ioredis.
 */
import { Redis, type RedisOptions } from 'ioredis';
import type { Config } from '../config.ts';
import { createClusterConnection } from './redis-cluster.ts';
import { abandon, type RedisConnection, type RedisConnectionOptions } from './redis-connection.ts';
import { redisSetup, type RedisSetup } from './redis-options.ts';

type Where = Pick<
  RedisOptions,
  | 'host'
  | 'port'
  | 'sentinels'
  | 'name'
  | 'sentinelPassword'
  | 'sentinelTLS'
  | 'enableTLSForSentinelMode'
  | 'sentinelCommandTimeout'
  | 'sentinelRetryStrategy'
  | 'natMap'
>;

const SENTINEL_TIMEOUT_MS = 1_000;

export function createRedis(options: RedisConnectionOptions): RedisConnection {
  const setup = redisSetup(options.redis);
  return setup.address.kind === 'cluster'
    ? createClusterConnection(setup, options)
    : createPrimaryConnection(setup, options);
}

function createPrimaryConnection(
  setup: RedisSetup,
  { redis, logger, onReady, onLost }: RedisConnectionOptions,
): RedisConnection {
  const client = new Redis({
    ...setup.options,
    ...whereOf(setup, redis),
    enableOfflineQueue: false,
    retryStrategy: setup.delayOf,
  });
  let wasReady = false;

  client.on('ready', () => {
    wasReady = true;
    logger.info({}, 'redis connected');
    onReady();
  });
  client.on('close', () => {
    if (!wasReady) return;
    wasReady = false;
    logger.warn({}, 'redis connection lost');
    onLost();
  });
  client.on('error', (error) => logger.warn({ err: error }, 'redis connection failed'));
  client.on('sentinelError', (error) => logger.warn({ err: error }, 'redis sentinel failed'));

  const isReady = () => client.status === 'ready';
  return {
    sharded: false,
    isReady,
    primaries: () => (isReady() ? [client] : []),
    primaryOf: () => (isReady() ? client : undefined),
    reset: abandon,
    connect() {
      // Its failure comes as an error event, and is followed by the next attempt.
      client.connect().catch(() => {});
    },
    disconnect() {
      // Not a loss.
      wasReady = false;
      client.disconnect();
    },
  };
}

function whereOf(
  { address, options, delayOf, checkHost }: RedisSetup,
  { sentinelPassword }: Config['redis'],
): Where {
  const { hosts, kind, primary } = address;
  if (kind === 'single') return { ...hosts[0] };
  return {
    sentinels: [...hosts],
    ...(primary !== undefined && { name: primary }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(options.tls && { sentinelTLS: options.tls, enableTLSForSentinelMode: true }),
    sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
    sentinelRetryStrategy: delayOf,
    natMap(server) {
      checkHost(server.slice(0, server.lastIndexOf(':')));
      return null;
    },
  };
}
