/**
 * Strategies and risk limits, as the tables `strategies` and `risk_limits` hold them. The mirror
 * writes these keys; where it runs, a change made only here does not last.
 */
import type { ChainableCommander, Redis } from 'ioredis';
import type { Keyspace } from '../keyspace.ts';
import type { Fields } from './fields.ts';

export interface Strategy {
  /** JSON, as text: JSON.parse would round the decimals in it. */
  readonly config: string;
  readonly isActive: boolean;
}

/** Decimals; null: no limit. */
export interface RiskLimits {
  readonly maxPositionValue: string | null;
  readonly maxDailyLoss: string | null;
  readonly maxDrawdown: string | null;
}

type Client = Pick<Redis, 'hgetall' | 'multi'>;

export function createStrategies(client: Client & Pick<Redis, 'smembers'>, keys: Keyspace) {
  return {
    activeIds: async () => (await client.smembers(keys.activeStrategies)).map(Number),
    read: async (id: number) => readStrategy(await client.hgetall(keys.strategy(id))),
    async write(id: number, strategy: Strategy): Promise<void> {
      const batch = client.multi();
      queueStrategy(batch, keys, id, strategy);
      await commit(batch);
    },
    async remove(id: number): Promise<void> {
      const batch = client.multi();
      batch.del(keys.strategy(id)).srem(keys.activeStrategies, id);
      await commit(batch);
    },
  };
}

export function createRiskLimits(client: Pick<Redis, 'hgetall' | 'hset' | 'del'>, keys: Keyspace) {
  return {
    /** Undefined: not known, which is not the same as no limit. */
    read: async (userId: number) => readRiskLimits(await client.hgetall(keys.riskLimits(userId))),
    async write(userId: number, limits: RiskLimits): Promise<void> {
      await client.hset(keys.riskLimits(userId), riskLimitFields(limits));
    },
    async remove(userId: number): Promise<void> {
      await client.del(keys.riskLimits(userId));
    },
  };
}

/** Adds to a transaction: nobody sees an active strategy that is not in the set. */
export function queueStrategy(
  batch: ChainableCommander,
  keys: Keyspace,
  id: number,
  { config, isActive }: Strategy,
): void {
  batch.hset(keys.strategy(id), { config, is_active: String(isActive) });
  if (isActive) batch.sadd(keys.activeStrategies, id);
  else batch.srem(keys.activeStrategies, id);
}

/** All fields, always: one HSET replaces what was there. */
export function riskLimitFields(limits: RiskLimits): Record<string, string> {
  return {
    max_position_value: limits.maxPositionValue ?? '',
    max_daily_loss: limits.maxDailyLoss ?? '',
    max_drawdown: limits.maxDrawdown ?? '',
  };
}

export function readStrategy({ config, is_active: isActive }: Fields): Strategy | undefined {
  if (config === undefined || isActive === undefined) return undefined;
  return { config, isActive: isActive === 'true' };
}

export function readRiskLimits(fields: Fields): RiskLimits | undefined {
  const { max_position_value: value, max_daily_loss: loss, max_drawdown: drawdown } = fields;
  if (value === undefined || loss === undefined || drawdown === undefined) return undefined;
  return {
    maxPositionValue: value || null,
    maxDailyLoss: loss || null,
    maxDrawdown: drawdown || null,
  };
}

async function commit(batch: ChainableCommander): Promise<void> {
  for (const [error] of (await batch.exec()) ?? []) if (error) throw error;
}
