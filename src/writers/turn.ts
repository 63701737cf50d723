/**
 * Whose turn it is to store an exchange: who holds the advisory lock. It is released with the session,
 * and the server ends the session of a daemon that does not speak any more.
 */
import type { Client } from 'pg';

/** Longer than any pause of a daemon that is well: it speaks every two seconds. */
const SILENCE = '20s';

const CLASS = `hashtext('hyperfeed_turn')`;
const OBJECT = `hashtext(current_schema() || ' ' || $1)`;
/**
 * COPY is the one statement that no timeout of the server ends while it waits for its client; between
 * statements it does, where we may ask for that.
 */
const FROZEN = `wait_event = 'ClientRead' AND state_change < now() - interval '${SILENCE}'`;
/** Ends the session that holds the lock where nobody speaks in it any more. */
const END_DEAD = `SELECT pid, pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
  WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = (${CLASS}::bigint & 4294967295)::oid AND objid = (${OBJECT}::bigint & 4294967295)::oid
    AND pg_has_role(usesysid, 'USAGE') AND (pid = $2 OR ${FROZEN})`;

/**
 * ours:   for as long as the session lasts.
 * former: a session holds it that we gave up and the server did not; it is being ended.
 * theirs: another daemon has it.
 */
export type Turn =
  | { readonly kind: 'ours'; readonly pid: number }
  | { readonly kind: 'former' | 'theirs' };

/** `former` is the process of the server that had our last lock. */
export async function tryTurn(client: Client, turn: string, former?: number): Promise<Turn> {
  const { rows } = await client.query<{ ours: boolean; pid: number }>(
    `SELECT pg_try_advisory_lock(${CLASS}, ${OBJECT}) AS ours, pg_backend_pid() AS pid`,
    [turn],
  );
  const { ours, pid } = rows[0]!;
  if (ours) return { kind: 'ours', pid };
  const ended = await client.query<{ pid: number }>(END_DEAD, [turn, former ?? null]);
  return { kind: ended.rows.some((holder) => holder.pid === former) ? 'former' : 'theirs' };
}

/** The server ends this session when it hears nothing from us; one before version 14 cannot. */
export async function endWhenFrozen(client: Client): Promise<void> {
  await client.query(
    `SELECT set_config(name, '${SILENCE}', false) FROM pg_settings
      WHERE name IN ('idle_session_timeout', 'idle_in_transaction_session_timeout') AND context = 'user'`,
  );
}
