/** What the database is. Retention, compression and the log line at start depend on it. */
import type { ClientBase } from 'pg';
import { HyperfeedError } from '../errors.ts';
import { loadQuery } from './queries.ts';

export interface Engine {
  /** `community` has policies, compression and continuous aggregates; `apache` has hypertables alone. */
  readonly edition: 'community' | 'apache' | 'plain';
  readonly postgres: string;
  readonly timescaledb: string | null;
}

const ENGINE = loadQuery('engine');

export async function detectEngine(client: ClientBase): Promise<Engine> {
  const { rows } = await client.query<EngineRow>(ENGINE);
  const { postgres, timescaledb, license } = rows[0] as EngineRow;
  if (timescaledb === null) return { edition: 'plain', postgres, timescaledb };
  if (license === null) {
    throw new HyperfeedError(
      'timescaledb_not_loaded',
      `this database has the extension timescaledb ${timescaledb}, but the server does not load its library: ` +
        'add timescaledb to shared_preload_libraries, leave timescaledb.disable_load off, restart the server',
    );
  }
  return { edition: license === 'timescale' ? 'community' : 'apache', postgres, timescaledb };
}

/** `PostgreSQL 17.10 with TimescaleDB 2.19.3 (apache)` */
export function describeEngine({ edition, postgres, timescaledb }: Engine): string {
  const server = `PostgreSQL ${postgres}`;
  return timescaledb === null ? server : `${server} with TimescaleDB ${timescaledb} (${edition})`;
}

interface EngineRow {
  postgres: string;
  timescaledb: string | null;
  license: string | null;
}
