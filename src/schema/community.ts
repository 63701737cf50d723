/**
 * What only TimescaleDB Community has: retention and compression that its own scheduler does. All of
 * that SQL is here, because the packages that tests can install are the Apache edition.
 */
import type { ClientBase } from 'pg';
import { inTransaction } from './connect.ts';
import { loadQuery } from './queries.ts';
import type { Rule } from './retention-rules.ts';
import { SERIES } from './series.ts';

const POLICIES = loadQuery('policies');

/** Makes the policies say what the rules say. Resolves to the tables that changed. */
export async function applyRetentionPolicies(
  client: ClientBase,
  rules: readonly Rule[],
): Promise<string[]> {
  const names = rules.map(({ table }) => table);
  const ages = rules.map(({ keep }) => keep);
  const different = await client.query<PolicyRow>(POLICIES, [names, ages, 'policy_retention']);
  for (const { table, age, present } of different.rows) {
    await inTransaction(client, async () => {
      if (present) await client.query('SELECT remove_retention_policy($1)', [table]);
      if (age !== null) {
        await client.query('SELECT add_retention_policy($1, drop_after => $2::interval)', [
          table,
          age,
        ]);
      }
    });
  }
  return different.rows.map(({ table }) => table);
}

/** Chunks older than `after` become columns; null: no further ones do. */
export async function applyCompression(
  client: ClientBase,
  after: string | null,
): Promise<string[]> {
  const series = SERIES.filter(({ compressOrder }) => compressOrder !== undefined);
  const names = series.map(({ table }) => table);
  const ages = names.map(() => after);
  const different = await client.query<PolicyRow>(POLICIES, [names, ages, 'policy_compression']);
  for (const { table, age, present } of different.rows) {
    const order = series.find((one) => one.table === table)?.compressOrder;
    await inTransaction(client, async () => {
      if (present) await client.query('SELECT remove_compression_policy($1)', [table]);
      if (age !== null) {
        await client.query(
          `ALTER TABLE ${table} SET (timescaledb.compress,
             timescaledb.compress_segmentby = 'exchange, symbol', timescaledb.compress_orderby = '${order}')`,
        );
        await client.query('SELECT add_compression_policy($1, compress_after => $2::interval)', [
          table,
          age,
        ]);
      }
    });
  }
  return different.rows.map(({ table }) => table);
}

interface PolicyRow {
  table: string;
  age: string | null;
  present: boolean;
}
