-- The tables of $1 whose partitions do not span $2; no interval: not partitioned. For a server
-- without TimescaleDB.
SELECT wanted.name AS "table", s.chunk_interval::text AS "interval", wanted.chunk_interval AS wanted
  FROM unnest($1::text[], $2::text[]) AS wanted (name, chunk_interval)
  JOIN pg_class c ON c.oid = to_regclass(quote_ident(wanted.name))
  LEFT JOIN hyperfeed_series s ON s.name = wanted.name AND c.relkind = 'p'
 WHERE s.chunk_interval IS DISTINCT FROM wanted.chunk_interval::interval
 ORDER BY array_position($1, wanted.name);
