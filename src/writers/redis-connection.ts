/** What the writers use of Redis, whichever kind of installation it is. */
import { TLSSocket } from 'node:tls';
import type { Redis } from 'ioredis';
import type { Config } from '../config.ts';
import type { LimitedLogger } from '../log.ts';

export interface RedisConnection {
  /** The keys are on several servers. */
  readonly sharded: boolean;
  isReady(): boolean;
  /** The servers that take writes and are there: one, or those of a cluster. */
  primaries(): readonly Redis[];
  /** The one that has this key; undefined: none at the moment. */
  primaryOf(key: string): Redis | undefined;
  connect(): void;
  /** Gives a connection up: all that is unanswered fails, and a new one is made. */
  reset(primary: Redis): void;
  /** For good. */
  disconnect(): void;
}

export interface RedisConnectionOptions {
  readonly redis: Config['redis'];
  readonly logger: LimitedLogger;
  readonly onReady: () => void;
  readonly onLost: () => void;
  /** One of several primaries is there, maybe another one than before, maybe empty. */
  readonly onRenewed: () => void;
}

export function abandon({ stream }: Redis): void {
  // After a plain close the kernel goes on delivering what is in its buffer, for minutes, when
  // newer values are long written over another connection. A reset throws it away.
  if (stream instanceof TLSSocket) stream.destroy();
  else stream.resetAndDestroy();
}
