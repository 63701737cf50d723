/**
 * Commands of the mirror, run together: one transaction on one server, so that nobody sees a part of
 * it. In a cluster the keys are on several servers, and their names leave no way to have them on one:
 * there each command is atomic by itself, and the index follows the keys that it names, or goes first
 * when they go.
 */
import type { ChainableCommander, Redis } from 'ioredis';
import { HyperfeedError } from '../errors.ts';
import type { RedisConnection } from './redis-connection.ts';

/** An error for each command that was refused. */
type Replies = readonly (readonly [error: Error | null, reply: unknown])[];

export interface MirrorBatch {
  readonly kind: 'put' | 'remove';
  /** The key of the SET of names, where there is one. */
  readonly index: string | undefined;
  readonly queue: (batch: ChainableCommander) => void;
}

interface Queued {
  readonly name: string;
  readonly args: readonly unknown[];
}

/** Rejects as ioredis does; `ECONNRESET` when a primary is not there. */
export async function runBatch(redis: RedisConnection, batch: MirrorBatch): Promise<Replies> {
  if (!redis.sharded) {
    const transaction = requirePrimary(redis, '').multi();
    batch.queue(transaction);
    return (await transaction.exec()) ?? [];
  }
  const commands = recorded(batch.queue);
  const ofKeys = commands.filter((command) => keyOf(command) !== batch.index);
  const ofIndex = commands.filter((command) => keyOf(command) === batch.index);
  const steps = batch.kind === 'put' ? [ofKeys, ofIndex] : [ofIndex, ofKeys];
  const replies: Replies[number][] = [];
  for (const step of steps) replies.push(...(await runOnPrimaries(redis, step)));
  return replies;
}

async function runOnPrimaries(
  redis: RedisConnection,
  commands: readonly Queued[],
): Promise<Replies> {
  const parts = Map.groupBy(commands, (command) => requirePrimary(redis, keyOf(command)));
  const replies = [...parts].map(async ([primary, part]) => {
    const pipeline = primary.pipeline(part.map(({ name, args }) => [name, ...args]));
    return (await pipeline.exec()) ?? [];
  });
  const all = (await Promise.all(replies)).flat();
  // A connection that was lost is no refusal.
  const lost = all.find(([error]) => error && error.name !== 'ReplyError');
  if (lost) throw lost[0];
  return all;
}

/** Takes note of the commands instead of sending them. */
function recorded(queue: MirrorBatch['queue']): Queued[] {
  const commands: Queued[] = [];
  const recorder: ChainableCommander = new Proxy({} as ChainableCommander, {
    get:
      (_, name) =>
      (...args: unknown[]) => {
        commands.push({ name: String(name), args });
        return recorder;
      },
  });
  queue(recorder);
  return commands;
}

/** EVAL script number-of-keys key ...; any other command: key ... */
function keyOf({ name, args }: Queued): string {
  return String(name === 'eval' ? args[2] : args[0]);
}

export function requirePrimary(redis: RedisConnection, key: string): Redis {
  const primary = redis.primaryOf(key);
  if (primary) return primary;
  throw new HyperfeedError('ECONNRESET', 'a primary of redis is not there');
}
