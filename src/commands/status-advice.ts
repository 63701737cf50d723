/** What to do about each reason that a daemon gives. More on each: docs/operations.md. */
export const ADVICE: Readonly<Record<string, string>> = {
  database: 'is PostgreSQL up, reachable, and (of several hosts) one of them promoted? Rows wait',
  draining: 'it is about to stop; what is accepted is on disk',
  gap_unfillable: 'hyperfeed gaps list names them; the exchange does not show them any more',
  mirror_down: 'strategies, risk limits and sessions in Redis are not kept up; the log has more',
  no_stream: 'can that machine reach the exchange? It dials again by itself',
  pg_lag: 'PostgreSQL is away, refuses or is too slow; see the other reasons, then its load',
  redis_down: 'is Redis up, and reachable from the daemon? It is filled again when it is back',
  redis_lag: 'Redis or the way to it is slow: SLOWLOG GET, redis-cli --latency',
  redis_refused: 'a key of another type, an ACL, or full: see what Redis says; the mirror goes on',
  report_failed: 'a fault of hyperfeed: the log has it',
  retention: 'usually a privilege; hyperfeed retention run --dry-run shows what is due',
  spool_80: 'PostgreSQL is away or too slow: see to it, or raise spool.maxBytes. Books give way',
  spool_error: 'the disk of the spool: df, dmesg. The daemon tries again by itself',
  spool_full: 'make room on the disk of the spool, or raise spool.maxBytes: memory is finite',
  stale: 'halted or delisted: take it out of symbols. Thin: raise connection.staleAfterMs',
  writer_halted: 'mend what PostgreSQL says; the daemon tries again every 30 s',
};
