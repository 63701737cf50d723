/** The two connections of the mirror. They are opened together and given up together. */
import type { Client } from 'pg';
import type { Config } from '../config.ts';
import { HyperfeedError } from '../errors.ts';
import type { LimitedLogger } from '../log.ts';
import { clientConfig, close, destroy, openSession, type Session } from './pg.ts';
import type { RedisConnection } from './redis-connection.ts';
import { createRedis } from './redis.ts';

export interface MirrorConnections {
  readonly client: Client;
  readonly redis: RedisConnection;
  /** Aborts, with the reason, when either is lost or `signal` aborts. */
  readonly lost: AbortSignal;
}

const REDIS_CONNECT_TIMEOUT_MS = 5_000;

/** Lends them to `use`, until it is through or either is lost. */
export async function withConnections(
  options: {
    readonly database: Config['database'];
    readonly redis: Config['redis'];
    readonly applicationName: string;
    readonly logger: LimitedLogger;
    readonly signal: AbortSignal;
  },
  use: (connections: MirrorConnections) => Promise<void>,
): Promise<void> {
  const { database, applicationName, logger, signal } = options;
  const ready = Promise.withResolvers<void>();
  const redisLost = new AbortController();
  const redis = createRedis({
    redis: options.redis,
    logger,
    onReady: ready.resolve,
    onLost: () => redisLost.abort(new HyperfeedError('ECONNRESET', 'redis connection lost')),
    // It may lack anything: the next turn compares.
    onRenewed: () => redisLost.abort(new HyperfeedError('ECONNRESET', 'redis primary changed')),
  });
  const giveUp = () => ready.reject(new HyperfeedError('ETIMEDOUT', 'no connection to redis'));
  const timer = setTimeout(giveUp, REDIS_CONNECT_TIMEOUT_MS);
  signal.addEventListener('abort', giveUp);
  let session: Session | undefined;
  let lost = AbortSignal.any([signal, redisLost.signal]);
  try {
    // Redis first: while it is away, PostgreSQL is not bothered.
    redis.connect();
    await ready.promise;
    session = await openSession(clientConfig(database, applicationName));
    lost = AbortSignal.any([lost, session.lost]);
    lost.throwIfAborted();
    await use({ client: session.client, redis, lost });
  } catch (error) {
    // What broke first says more than what broke because of it.
    lost.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', giveUp);
    redis.disconnect();
    // After a deliberate stop the server shall know at once that another may take its turn.
    if (session && signal.aborted) await close(session.client);
    else if (session) destroy(session.client);
  }
}
