/**
 * Sessions and refresh tokens. Each key ends when what it stands for does.
 *
 * Where the mirror runs, the table user_sessions is the truth: what is only in Redis goes with the
 * next comparison, and what is revoked only here comes back. So write to the table, and here as well
 * where a second is too long to wait.
 */
import type { ChainableCommander, Redis } from 'ioredis';
import type { Keyspace } from '../keyspace.ts';
import type { Fields } from './fields.ts';
import { createScript, type ScriptClient } from './script.ts';

export interface RefreshToken {
  readonly userId: number;
  readonly expiresAt: number;
}

export interface Session extends RefreshToken {
  readonly lastAccessed: number;
}

/** Not a HSET and a PEXPIREAT: between the two a lost connection would leave a key for ever. */
const WRITE = `
  local accessed = ARGV[3]
  if accessed then
    -- It may have been touched here after the table heard of it.
    local old = redis.call('HGET', KEYS[1], 'last_accessed')
    if old and tonumber(old) > tonumber(accessed) then accessed = old end
    redis.call('HSET', KEYS[1], 'last_accessed', accessed)
  end
  redis.call('HSET', KEYS[1], 'user_id', ARGV[1], 'expires_at', ARGV[2])
  redis.call('PEXPIREAT', KEYS[1], ARGV[2])
`;
const write = createScript(WRITE);

/** A session that is gone must not come back as a key that holds nothing but a time. */
const touch = createScript(`
  local old = redis.call('HGET', KEYS[1], 'last_accessed')
  if not old then return 0 end
  if tonumber(old) < tonumber(ARGV[1]) then
    redis.call('HSET', KEYS[1], 'last_accessed', ARGV[1])
  end
  return 1
`);

export function createSessions(
  client: ScriptClient & Pick<Redis, 'hgetall' | 'del'>,
  keys: Keyspace,
) {
  return {
    /** One that has expired is not kept. */
    async write(token: string, session: Session): Promise<void> {
      await write(client, keys.session(token), ...argumentsOf(session));
    },
    read: async (token: string) => readSession(await client.hgetall(keys.session(token))),
    /** False: there is no such session. */
    touch: async (token: string, at = Date.now()) =>
      (await touch(client, keys.session(token), at)) === 1,
    /** False: there was none. */
    revoke: async (token: string) => (await client.del(keys.session(token))) === 1,
  };
}

export function createRefreshTokens(
  client: ScriptClient & Pick<Redis, 'hgetall' | 'del'>,
  keys: Keyspace,
) {
  return {
    async write(token: string, refreshToken: RefreshToken): Promise<void> {
      const { userId, expiresAt } = refreshToken;
      await write(client, keys.refreshToken(token), userId, expiresAt);
    },
    read: async (token: string) => readRefreshToken(await client.hgetall(keys.refreshToken(token))),
    /** False: there was none. Of several that revoke it one gets true: enough to use it once. */
    revoke: async (token: string) => (await client.del(keys.refreshToken(token))) === 1,
  };
}

/** The same as `write`, as part of a transaction. */
export function queueSession(
  batch: ChainableCommander,
  keys: Keyspace,
  token: string,
  session: Session,
): void {
  batch.eval(WRITE, 1, keys.session(token), ...argumentsOf(session));
}

function argumentsOf({ userId, expiresAt, lastAccessed }: Session) {
  return [userId, expiresAt, lastAccessed] as const;
}

export function readRefreshToken({
  user_id: userId,
  expires_at: expiresAt,
}: Fields): RefreshToken | undefined {
  if (userId === undefined || expiresAt === undefined) return undefined;
  return { userId: Number(userId), expiresAt: Number(expiresAt) };
}

export function readSession(fields: Fields): Session | undefined {
  const token = readRefreshToken(fields);
  const { last_accessed: lastAccessed } = fields;
  return token && lastAccessed !== undefined
    ? { ...token, lastAccessed: Number(lastAccessed) }
    : undefined;
}
