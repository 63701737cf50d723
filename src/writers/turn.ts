/**
 * Whose turn it is to store an exchange: who holds the advisory lock. It is released with the session,
 * and the server ends the session of a daemon that does not speak any more.
 */
import type { Client } from 'pg';

/** Longer than any pause of a daemon that is well: it speaks every two seconds. */
const SILENCE = '20s';

const CLASS = `hashtext('hyperfeed_turn')`;
const OBJECT = `hashtext(current_schema() || ' ' || $1)`;
/** COPY is the one statement that no timeout of the server ends while it waits for its client. */
const FROZEN = `SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
  WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = (${CLASS}::bigint & 4294967295)::oid AND objid = (${OBJECT}::bigint & 4294967295)::oid
    AND state = 'active' AND wait_event = 'ClientRead' AND query_start < now() - interval '${SILENCE}'`;

/** True: it is ours, for as long as the session lasts. */
export async function tryTurn(client: Client, turn: string): Promise<boolean> {
  const { rows } = await client.query<{ ours: boolean }>(
    `SELECT pg_try_advisory_lock(${CLASS}, ${OBJECT}) AS ours`,
    [turn],
  );
  if (rows[0]?.ours) return true;
  await client.query(FROZEN, [turn]);
  return false;
}

/** The server ends this session when it hears nothing from us; one before version 14 cannot. */
export async function endWhenFrozen(client: Client): Promise<void> {
  await client.query(
    `SELECT set_config(name, '${SILENCE}', false) FROM pg_settings
      WHERE name IN ('idle_session_timeout', 'idle_in_transaction_session_timeout')`,
  );
}
