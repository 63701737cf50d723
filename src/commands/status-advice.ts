/** What to do about each reason that a daemon gives. More on each: docs/operations.md. */
export const ADVICE: Readonly<Record<string, string>> = {
  database: 'is PostgreSQL up, and reachable from the daemon? Rows wait in the spool meanwhile',
  draining: 'it is about to stop; what is accepted is on disk',
  gap_unfillable: 'hyperfeed gaps list names them; the exchange does not show them any more',
  mirror_down: 'strategies, risk limits and sessions in Redis are not kept up; the log has more',
  mirror_refused: 'mend the rows that it names; the mirror looks again by itself',
  no_stream: 'can that machine reach the exchange? It dials again by itself',
  pg_lag: 'PostgreSQL is away, refuses or is too slow; see the other reasons, then its load',
  redis_down: 'is Redis up, and reachable from the daemon? It is filled again when it is back',
  redis_lag: 'Redis or the way to it is slow: SLOWLOG GET, redis-cli --latency',
  report_failed: 'a fault of hyperfeed: the log has it',
  retention: 'usually a privilege; hyperfeed retention run --dry-run shows what is due',
  spool_80: 'PostgreSQL is away or too slow; order books are thinned out. Make room, or wait',
  spool_error: 'the disk of the spool: df, dmesg. The daemon tries again by itself',
  spool_full: 'make room on the disk of the spool, or raise spool.maxBytes: memory is finite',
  stale: 'halted or delisted: take it out of symbols. Thin: raise connection.staleAfterMs',
  writer_halted: 'mend what PostgreSQL says; the daemon tries again every 30 s',
};
