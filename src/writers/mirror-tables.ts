/**
 * The tables of the mirror: how their rows are read, and what becomes of them in Redis.
 *
 * A row goes by the id that notifications carry; its name is what its key ends in. $1: only these
 * ids, NULL for all; $2: only greater ones; $3: so many of them.
 */
import type { ChainableCommander } from 'ioredis';

/** The keys of one kind in Redis; see schema/keyspace/mirrored.ts. */
export interface Mirrored<Value> {
  /** For SCAN; `nameOf` tells which of the keys that it finds are really of this kind. */
  readonly pattern: string;
  nameOf(key: string): string | undefined;
  /** A SET of names that is kept along with the keys. */
  readonly index?: string;
  put(batch: ChainableCommander, name: string, value: Value): void;
  remove(batch: ChainableCommander, name: string): void;
}

export interface MirroredKeys {
  readonly strategies: Mirrored<{ readonly config: string; readonly isActive: boolean }>;
  readonly riskLimits: Mirrored<{
    readonly maxPositionValue: string | null;
    readonly maxDailyLoss: string | null;
    readonly maxDrawdown: string | null;
  }>;
  readonly sessions: Mirrored<{
    readonly userId: number;
    readonly expiresAt: number;
    readonly lastAccessed: number;
  }>;
}

export interface MirroredRow {
  readonly id: number;
  readonly name: string;
}

export interface MirroredTable extends Omit<Mirrored<MirroredRow>, 'put'> {
  readonly table: string;
  readonly select: string;
  put(batch: ChainableCommander, row: MirroredRow): void;
}

const some = (id: string) => `($1::bigint[] IS NULL OR ${id} = ANY ($1)) AND ${id} > $2::bigint`;

/** Milliseconds since the epoch. Redis takes no infinity: the last moment of 9999 stands for it. */
const MS = (column: string) =>
  `floor(least(greatest(extract(epoch FROM ${column}) * 1000, 0), 253402300799999))::float8`;

const STRATEGIES = `
  SELECT id, id::text AS name, coalesce(config::text, 'null') AS config,
    is_active IS TRUE AS "isActive"
  FROM strategies WHERE ${some('id')} ORDER BY id LIMIT $3`;

/** The table allows several rows a user, the key holds one: the newest counts. */
const RISK_LIMITS = `
  SELECT DISTINCT ON (user_id) user_id AS id, user_id::text AS name,
    max_position_value::text AS "maxPositionValue", max_daily_loss::text AS "maxDailyLoss",
    max_drawdown::text AS "maxDrawdown"
  FROM risk_limits WHERE ${some('user_id')}
  ORDER BY user_id, updated_at DESC NULLS LAST, risk_limits.id DESC LIMIT $3`;

/** A session of nobody opens nothing. */
const SESSIONS = `
  SELECT id, session_token AS name, user_id AS "userId", ${MS('expires_at')} AS "expiresAt",
    ${MS(`coalesce(last_accessed, created_at, 'epoch')`)} AS "lastAccessed"
  FROM user_sessions
  WHERE expires_at > now() AND user_id IS NOT NULL AND ${some('id')} ORDER BY id LIMIT $3`;

export function mirroredTables(keys: MirroredKeys): readonly MirroredTable[] {
  return [
    define('strategies', STRATEGIES, keys.strategies),
    define('risk_limits', RISK_LIMITS, keys.riskLimits),
    define('user_sessions', SESSIONS, keys.sessions),
  ];
}

/** The columns of `select` are the fields of Value. */
function define<Value>(table: string, select: string, keys: Mirrored<Value>): MirroredTable {
  const put = (batch: ChainableCommander, row: MirroredRow) =>
    keys.put(batch, row.name, row as MirroredRow & Value);
  return { ...keys, table, select, put };
}
