/** SQLSTATE (or the code of a socket error) -> what the store does about it. One line a reason. */
import { codeOf } from '../errors.ts';

/**
 * reconnect: the session is gone or not to be trusted: destroy it, back off, for ever.
 * retry:     the transaction lost a race: again on the same session, a few times.
 * stage:     some rows are stored already: by way of a staging table.
 * symbols:   a symbol is not in `symbols` yet: add it in a transaction of its own.
 * partition: no partition for a row's time: make it in a transaction of its own.
 * decompress: more rows go into compressed chunks than the session may unpack: lift its limit.
 * isolate:   the server refuses some row of the batch: find which, and store the others.
 * halt:      trying again changes nothing until a person mends it: keep spooling, look again later.
 */
export type StoreAction =
  | 'reconnect'
  | 'retry'
  | 'stage'
  | 'symbols'
  | 'partition'
  | 'decompress'
  | 'isolate'
  | 'halt';

/** The longest prefix wins. */
const ACTIONS: Readonly<Record<string, StoreAction>> = {
  '40001': 'retry', // serialization_failure
  '40P01': 'retry', // deadlock_detected
  '55P03': 'retry', // lock_not_available: retention or DDL holds the table
  '23505': 'stage', // unique_violation
  '23503': 'symbols', // foreign_key_violation
  '22': 'isolate', // data_exception: a row that should not have been accepted
  '23': 'isolate', // other constraints: likewise
  '28': 'halt', // invalid_authorization
  '3D000': 'halt', // no such database
  '42': 'halt', // no such table or column, no privilege
  '0A000': 'halt', // feature_not_supported
  '53400': 'decompress', // configuration_limit_exceeded: rows into compressed chunks; not transient
  schema_ahead: 'halt', // and our own, of the migrations
  schema_mismatch: 'halt',
  migration_changed: 'halt',
  migration_failed: 'halt',
  migration_denied: 'halt',
  adoption_refused: 'halt',
  quarantine_full: 'halt',
  timescaledb_not_loaded: 'halt',
  '25006': 'reconnect', // read-only: a standby, or a primary that was demoted
};

/** Unknown codes keep the rows: reconnect and try again, rather than drop what is not understood. */
export function actionOf(error: unknown): StoreAction {
  const code = codeOf(error) ?? '';
  if (code === CHECK_VIOLATION && routineOf(error) === NO_PARTITION) return 'partition';
  for (let length = code.length; length >= 2; length--) {
    const action = ACTIONS[code.slice(0, length)];
    if (action) return action;
  }
  return 'reconnect';
}

/** PostgreSQL uses one code for a row that a CHECK refuses and for one that has no partition. */
const CHECK_VIOLATION = '23514';
const NO_PARTITION = 'ExecFindPartition';

function routineOf(error: unknown): unknown {
  return (error as { routine?: unknown } | null)?.routine;
}
