/** What is removed, and when: section 4 of docs/schema-document.md. */
import type { Config } from '../config.ts';
import { SERIES } from './series.ts';

export interface Rule {
  readonly table: string;
  /** An interval of PostgreSQL; null: forever. */
  readonly keep: string | null;
}

/** Rows of a table that is not a time series: by the age of one of its columns. */
export interface RowRule extends Rule {
  readonly column: string;
}

export interface Rules {
  readonly series: readonly Rule[];
  readonly rows: readonly RowRule[];
}

export function retentionRules(config: Config['retention']): Rules {
  const keepOf = (key: Exclude<keyof Config['retention'], 'enabled'>) =>
    config[key] === 'forever' ? null : config[key];
  return {
    series: SERIES.map(({ table, keep }) => ({ table, keep: keepOf(keep) })),
    rows: [
      { table: 'user_sessions', column: 'expires_at', keep: keepOf('userSessions') },
      // NULL while it is open, and NULL is older than nothing.
      { table: 'positions', column: 'closed_at', keep: keepOf('positions') },
      { table: 'risk_events', column: 'triggered_at', keep: keepOf('riskEvents') },
    ],
  };
}

/** Null: never. */
export function compressAfter(config: Config['storage']): string | null {
  return config.compressAfter === 'forever' ? null : config.compressAfter;
}
