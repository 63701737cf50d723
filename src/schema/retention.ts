/**
 * Removes what is past its time. Whole chunks or partitions of the time series, in batches the rows
 * of the other tables; nothing early, and nothing that stands in a writer's way for long: a drop
 * waits half a second for its lock, and tries again after a pause in which the others go first.
 *
 *   policies     TimescaleDB Community does it by itself; only the policies are kept as configured
 *   drop_chunks  TimescaleDB Apache, which has no policies
 *   partitions   plain PostgreSQL; partitions for the coming week are made as well
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { codeOf, HyperfeedError, messageOf } from '../errors.ts';
import { applyCompression, applyRetentionPolicies } from './community.ts';
import { inTransaction, type Session, withClient } from './connect.ts';
import { detectEngine, type Engine } from './engine.ts';
import { loadQuery } from './queries.ts';
import type { RowRule, Rule, Rules } from './retention-rules.ts';

export interface RetentionOptions extends Session {
  readonly rules: Rules;
  /** Community only; null: never. */
  readonly compressAfter: string | null;
  /** Only looks. */
  readonly dryRun?: boolean;
  /** Leaves it to the run of less than a day ago, whoever did that. */
  readonly onlyIfDue?: boolean;
}

export type Mechanism = 'policies' | 'drop_chunks' | 'partitions';

export interface Removed {
  readonly table: string;
  readonly keep: string | null;
  /** Names of chunks or partitions. */
  readonly parts: readonly string[];
  readonly rows: number;
  /** Why not all of it. */
  readonly problem?: string;
}

export interface RetentionResult {
  readonly mechanism: Mechanism;
  /** busy: another one is at it. recent: less than a day ago. */
  readonly outcome: 'done' | 'busy' | 'recent';
  readonly tables: readonly Removed[];
  readonly lastRun: JobRow | undefined;
}

export interface JobRow {
  ran_at: Date;
  problem: string | null;
}

const LOCK_CODES = new Set(['55P03', '40P01']);
const LOCK_ATTEMPTS = 20;
const LOCK_PAUSE_MS = 1_000;
const ROWS_A_BATCH = 5_000;

export async function runRetention(options: RetentionOptions): Promise<RetentionResult> {
  return withClient(options, async (client) => {
    const engine = await detectEngine(client);
    const mechanism = mechanismOf(engine);
    if (options.dryRun) {
      const tables = await look(client, options, mechanism);
      return { mechanism, outcome: 'done', tables, lastRun: await lastRun(client) };
    }
    await requireOwner(client);
    // Given back with the session.
    const { rows } = await client.query<{ mine: boolean }>(TRY_LOCK);
    if (!rows[0]?.mine) {
      return { mechanism, outcome: 'busy', tables: [], lastRun: await lastRun(client) };
    }
    if (options.onlyIfDue && !(await isDue(client))) {
      return { mechanism, outcome: 'recent', tables: [], lastRun: await lastRun(client) };
    }
    await client.query(`SET lock_timeout = '500ms'; SET statement_timeout = 0`);
    const tables = await remove(client, options, mechanism);
    const problems = tables.flatMap(({ table, problem }) =>
      problem ? [`${table}: ${problem}`] : [],
    );
    await client.query(RECORD, [problems.length > 0 ? problems.join('; ') : null]);
    return { mechanism, outcome: 'done', tables, lastRun: await lastRun(client) };
  });
}

async function requireOwner(client: Client): Promise<void> {
  const { rows } = await client.query<{ role: string; owns: boolean }>(OWNS);
  if (rows[0]?.owns !== false) return;
  throw new HyperfeedError(
    'retention_denied',
    `role "${rows[0].role}" does not own the tables: set database.ownerUrl to a member of hyperfeed_owner, ` +
      'or retention.enabled to false and let somebody else run `hyperfeed retention run`',
  );
}

function mechanismOf({ edition }: Engine): Mechanism {
  return edition === 'community' ? 'policies' : edition === 'apache' ? 'drop_chunks' : 'partitions';
}

const OWNS = `SELECT current_user AS role, pg_has_role(relowner, 'USAGE') AS owns
  FROM pg_class WHERE oid = to_regclass('hyperfeed_jobs')`;
const TRY_LOCK = `SELECT pg_try_advisory_lock(hashtext('hyperfeed_retention'), 0) AS mine`;
const LAST_RUN = `SELECT ran_at, problem FROM hyperfeed_jobs WHERE name = 'retention'`;
/** An hour after one that failed. */
const DUE = `${LAST_RUN} AND now() < ran_at + CASE WHEN problem IS NULL THEN INTERVAL '1 day' ELSE INTERVAL '1 hour' END`;
const RECORD = `INSERT INTO hyperfeed_jobs VALUES ('retention', now(), $1)
  ON CONFLICT (name) DO UPDATE SET ran_at = excluded.ran_at, problem = excluded.problem`;
const EXPIRED = {
  policies: loadQuery('expired-chunks'),
  drop_chunks: loadQuery('expired-chunks'),
  partitions: loadQuery('expired-partitions'),
};

async function lastRun(client: Client): Promise<JobRow | undefined> {
  return (await client.query<JobRow>(LAST_RUN)).rows[0];
}

async function isDue(client: Client): Promise<boolean> {
  return (await client.query(DUE)).rowCount === 0;
}

async function look(client: Client, { rules }: RetentionOptions, mechanism: Mechanism) {
  const tables: Removed[] = [];
  for (const rule of rules.series) {
    const parts = await expiredParts(client, rule, mechanism);
    tables.push({ ...named(rule), parts: parts.map(({ part }) => part), rows: 0 });
  }
  for (const rule of rules.rows) {
    const { rows } = await client.query<{ count: string }>(
      `SELECT count(*) FROM ${rule.table} WHERE ${rule.column} < now() - $1::interval`,
      [rule.keep],
    );
    tables.push({ ...named(rule), parts: [], rows: Number(rows[0]?.count) });
  }
  return tables;
}

async function remove(client: Client, options: RetentionOptions, mechanism: Mechanism) {
  const { rules, signal } = options;
  const tables: Removed[] = [];
  if (mechanism === 'partitions') {
    await withLockRetry(signal, () => client.query('SELECT hyperfeed_add_partitions_ahead()'));
  }
  if (mechanism === 'policies') {
    await applyRetentionPolicies(client, rules.series);
    await applyCompression(client, options.compressAfter);
  }
  for (const rule of rules.series) {
    tables.push(
      mechanism === 'policies'
        ? await leaveToPolicy(client, rule)
        : await dropParts(client, rule, mechanism, signal),
    );
  }
  for (const rule of rules.rows) tables.push(await deleteRows(client, rule, signal));
  return tables;
}

/** One after the other, each in a transaction of its own: a lock is held for no longer than that. */
async function dropParts(
  client: Client,
  rule: Rule,
  mechanism: Mechanism,
  signal: AbortSignal | undefined,
): Promise<Removed> {
  const parts: string[] = [];
  try {
    for (const { part, until } of await expiredParts(client, rule, mechanism)) {
      await withLockRetry(signal, () =>
        inTransaction(client, async () => {
          if (mechanism === 'partitions') await client.query(`DROP TABLE ${part}`);
          else
            await client.query('SELECT drop_chunks($1::regclass, older_than => $2::timestamptz)', [
              rule.table,
              until,
            ]);
          await client.query(DROPPED, [rule.table, until]);
        }),
      );
      parts.push(part);
    }
    return { ...named(rule), parts, rows: 0 };
  } catch (error) {
    return { ...named(rule), parts, rows: 0, problem: problemOf(error, signal) };
  }
}

/** From here on a longer candle is never recounted from fewer minutes than it was made of. */
const DROPPED = `UPDATE hyperfeed_series SET dropped_before = greatest(dropped_before, $2) WHERE name = $1`;

async function leaveToPolicy(client: Client, rule: Rule): Promise<Removed> {
  await client.query(
    `UPDATE hyperfeed_series SET dropped_before = greatest(dropped_before, now() - $2::interval) WHERE name = $1`,
    [rule.table, rule.keep],
  );
  return { ...named(rule), parts: [], rows: 0 };
}

async function deleteRows(
  client: Client,
  rule: RowRule,
  signal: AbortSignal | undefined,
): Promise<Removed> {
  const { table, column, keep } = rule;
  let rows = 0;
  try {
    for (let deleted = ROWS_A_BATCH; deleted === ROWS_A_BATCH; rows += deleted) {
      signal?.throwIfAborted();
      // Whoever holds a row now keeps it until tomorrow.
      const result = await client.query(
        `DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table}
           WHERE ${column} < now() - $1::interval LIMIT ${ROWS_A_BATCH} FOR UPDATE SKIP LOCKED)`,
        [keep],
      );
      deleted = result.rowCount ?? 0;
    }
    return { ...named(rule), parts: [], rows };
  } catch (error) {
    return { ...named(rule), parts: [], rows, problem: problemOf(error, signal) };
  }
}

async function expiredParts(client: Client, { table, keep }: Rule, mechanism: Mechanism) {
  if (keep === null) return [];
  const sql = EXPIRED[mechanism];
  return (await client.query<{ part: string; until: Date }>(sql, [table, keep])).rows;
}

async function withLockRetry(
  signal: AbortSignal | undefined,
  work: () => Promise<unknown>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      await work();
      return;
    } catch (error) {
      if (!LOCK_CODES.has(codeOf(error) ?? '') || attempt === LOCK_ATTEMPTS) throw error;
      await sleep(LOCK_PAUSE_MS, undefined, { signal });
    }
  }
}

function named({ table, keep }: Rule) {
  return { table, keep };
}

/** One table's trouble is not the next one's, unless all of it is to end. */
function problemOf(error: unknown, signal: AbortSignal | undefined): string {
  if (signal?.aborted || codeOf(error) === undefined) throw error;
  return messageOf(error);
}
