/**
 * What the mirror may write: names and codecs, for its three tables. A name is what tells the keys of
 * one kind apart: an id, a user's id, a token.
 */
import type { ChainableCommander } from 'ioredis';
import type { Keyspace } from '../keyspace.ts';
import { queueStrategy, riskLimitFields, type RiskLimits, type Strategy } from './configuration.ts';
import { queueSession, type Session } from './sessions.ts';

export function createMirrored(keys: Keyspace) {
  return {
    strategies: {
      pattern: keys.pattern('strategy'),
      /** A SET of names that belongs to these keys. */
      index: keys.activeStrategies,
      nameOf(key: string) {
        const parsed = keys.parse(key);
        return parsed?.kind === 'strategy' ? String(parsed.id) : undefined;
      },
      put: (batch: ChainableCommander, name: string, strategy: Strategy) =>
        queueStrategy(batch, keys, Number(name), strategy),
      /** Of the SET, whatever is in it. */
      remove: (batch: ChainableCommander, name: string) =>
        void batch.del(keys.strategy(Number(name))).srem(keys.activeStrategies, name),
    },
    riskLimits: {
      pattern: keys.pattern('risk_limits'),
      nameOf(key: string) {
        const parsed = keys.parse(key);
        return parsed?.kind === 'risk_limits' ? String(parsed.userId) : undefined;
      },
      put: (batch: ChainableCommander, name: string, limits: RiskLimits) =>
        void batch.hset(keys.riskLimits(Number(name)), riskLimitFields(limits)),
      remove: (batch: ChainableCommander, name: string) =>
        void batch.del(keys.riskLimits(Number(name))),
    },
    sessions: {
      pattern: keys.pattern('session'),
      nameOf(key: string) {
        const parsed = keys.parse(key);
        return parsed?.kind === 'session' ? parsed.token : undefined;
      },
      put: (batch: ChainableCommander, name: string, session: Session) =>
        queueSession(batch, keys, name, session),
      remove: (batch: ChainableCommander, name: string) => void batch.del(keys.session(name)),
    },
  };
}
