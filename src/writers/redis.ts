/**
 * One connection to Redis that costs neither memory nor time when Redis is dead or frozen.
 *
 * It reconnects for ever. A command either is answered or fails: nothing waits while there is no
 * connection, and nothing is sent again by ioredis.
 */
import { TLSSocket } from 'node:tls';
import { Redis } from 'ioredis';
import type { LimitedLogger } from '../log.ts';

export interface RedisConnection {
  readonly client: Redis;
  isReady(): boolean;
  connect(): void;
  /** Gives the connection up: all that is unanswered fails, and a new one is made. */
  reset(): void;
  /** For good. */
  disconnect(): void;
}

/** Hears of a frozen server during the handshake, when no pipeline watches the time. */
const SOCKET_TIMEOUT_MS = 2_000;
const CONNECT_TIMEOUT_MS = 3_000;
const MAX_DELAY_MS = 1_000;

export function createRedis(options: {
  readonly url: string;
  readonly logger: LimitedLogger;
  readonly onReady: () => void;
  readonly onLost: () => void;
}): RedisConnection {
  const { logger, onReady, onLost } = options;
  const client = new Redis(options.url, {
    lazyConnect: true,
    connectionName: 'hyperfeed',
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    disconnectTimeout: 500,
    // No commandTimeout: it fails the promise but leaves the command queued, so that a frozen server
    // would still be sent more and more.
    enableOfflineQueue: false,
    // With 0, whatever was sent fails when its connection closes. With more, it would wait for later
    // attempts, and without the resend be forgotten without ever failing.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt) =>
      Math.min(50 * 2 ** (attempt - 1), MAX_DELAY_MS) + Math.random() * 250,
    // A primary that became a replica keeps its connections.
    reconnectOnError: ({ message }) => message.startsWith('READONLY'),
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

  return {
    client,
    isReady: () => client.status === 'ready',
    connect() {
      // Its failure comes as an error event, and is followed by the next attempt.
      client.connect().catch(() => {});
    },
    reset() {
      // After a plain close the kernel goes on delivering what is in its buffer, for minutes, when
      // newer values are long written over another connection. A reset throws it away.
      if (client.stream instanceof TLSSocket) client.stream.destroy();
      else client.stream.resetAndDestroy();
    },
    disconnect() {
      // Not a loss.
      wasReady = false;
      client.disconnect();
    },
  };
}
