/** Lua in Redis: atomic, and one round trip. */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';

export type ScriptClient = Pick<Redis, 'eval' | 'evalsha'>;

/** Sends the digest; and the text to a server that has not seen it, or was restarted. */
export function createScript(lua: string) {
  const digest = createHash('sha1').update(lua).digest('hex');
  return async (
    client: ScriptClient,
    key: string,
    ...args: (string | number)[]
  ): Promise<unknown> => {
    try {
      return await client.evalsha(digest, 1, key, ...args);
    } catch (error) {
      if (!messageOf(error).startsWith('NOSCRIPT')) throw error;
      return client.eval(lua, 1, key, ...args);
    }
  };
}
