-- Partitions of $1 in which every row is older than $2, the oldest first. The bound reads
-- FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00').
SELECT inhrelid::regclass::text AS part, until
  FROM pg_inherits
  JOIN pg_class ON oid = inhrelid
 CROSS JOIN LATERAL substring(pg_get_expr(relpartbound, oid) FROM $$TO \('(.+)'\)$$) AS bound
 CROSS JOIN LATERAL (SELECT bound::timestamptz AS until) AS span
 WHERE inhparent = $1::regclass AND until <= now() - $2::interval
 ORDER BY until;
