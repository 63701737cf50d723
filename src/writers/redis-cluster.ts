/**
 * Connections to the primaries of a Redis Cluster. ioredis keeps the map of slots; commands go to the
 * servers themselves, so that nothing is queued, redirected or sent again behind our back.
 *
 * A primary that is lost is looked for again each second, at its address or where a failover put it.
 */
import { Cluster, Command, type Redis } from 'ioredis';
import { messageOf } from '../errors.ts';
import { abandon, type RedisConnection, type RedisConnectionOptions } from './redis-connection.ts';
import type { RedisSetup } from './redis-options.ts';

const REFRESH_MS = 1_000;

export function createClusterConnection(
  { address, options, delayOf, checkHost }: RedisSetup,
  { logger, onReady, onLost, onRenewed }: RedisConnectionOptions,
): RedisConnection {
  const cluster = new Cluster([...address.hosts], {
    redisOptions: options,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    slotsRefreshInterval: REFRESH_MS,
    slotsRefreshTimeout: REFRESH_MS,
    clusterRetryStrategy: delayOf,
    // Names stay names, which certificates are about.
    dnsLookup: (host, found) => found(null, host),
  });
  const known = new WeakSet<Redis>();
  let byAddress = new Map<string, Redis>();
  let started = false;
  let wasReady = false;

  cluster.on('+node', (node: Redis) => {
    try {
      checkHost(node.options.host ?? '');
    } catch (error) {
      logger.error({ problem: messageOf(error) }, 'redis cluster names a server that needs TLS');
      node.disconnect();
    }
  });
  cluster.on('refresh', () => {
    const nodes = cluster.nodes('master');
    const before = new Set(byAddress.values());
    byAddress = new Map(nodes.map((node) => [`${node.options.host}:${node.options.port}`, node]));
    const opened = nodes.filter((node) => !known.has(node)).map(open);
    // All that answer at first count as one beginning.
    if (!started) void Promise.all(opened).then(begin);
    // Demoted and promoted again, over one connection.
    else if (nodes.some((node) => node.status === 'ready' && !before.has(node))) onNodeReady();
  });
  cluster.on('close', onClose);
  cluster.on('error', (error) => logger.warn({ err: error }, 'redis connection failed'));
  cluster.on('node error', (error) => logger.warn({ err: error }, 'redis connection failed'));

  async function open(node: Redis): Promise<void> {
    known.add(node);
    node.on('ready', onNodeReady);
    node.on('close', onClose);
    // A replica that was promoted is connecting already. A failure comes as an error event.
    if (node.status === 'wait') await node.connect().catch(() => undefined);
  }

  function begin(): void {
    started = true;
    onNodeReady();
  }

  function onNodeReady(): void {
    if (!started || primaries().length === 0) return;
    if (wasReady) {
      onRenewed();
      return;
    }
    wasReady = true;
    logger.info({}, 'redis connected');
    onReady();
  }

  function onClose(): void {
    if (!wasReady || primaries().length > 0) return;
    wasReady = false;
    logger.warn({}, 'redis connection lost');
    onLost();
  }

  function primaries(): Redis[] {
    return [...byAddress.values()].filter(({ status }) => status === 'ready');
  }

  return {
    sharded: true,
    isReady: () => wasReady,
    primaries,
    primaryOf(key) {
      const slot = new Command('get', [key]).getSlot();
      const node = byAddress.get(cluster.slots[slot ?? -1]?.[0] ?? '');
      return node?.status === 'ready' ? node : undefined;
    },
    reset: abandon,
    connect() {
      cluster.connect().catch(() => undefined);
    },
    disconnect() {
      wasReady = false;
      cluster.disconnect();
    },
  };
}
