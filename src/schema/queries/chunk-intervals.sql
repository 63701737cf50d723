-- The tables of $1 whose chunks do not span $2; no interval: not a hypertable. Compared in seconds,
-- because TimescaleDB keeps '1 month' as 30 days. Needs the extension.
SELECT wanted.name AS "table", d.time_interval::text AS "interval", wanted.chunk_interval AS wanted
  FROM unnest($1::text[], $2::text[]) AS wanted (name, chunk_interval)
  JOIN pg_class c ON c.oid = to_regclass(quote_ident(wanted.name))
  LEFT JOIN timescaledb_information.dimensions d
    ON d.hypertable_schema = c.relnamespace::regnamespace::name
   AND d.hypertable_name = c.relname AND d.dimension_number = 1
 WHERE extract(epoch FROM d.time_interval) IS DISTINCT FROM extract(epoch FROM wanted.chunk_interval::interval)
 ORDER BY array_position($1, wanted.name);
