-- Chunks of $1 in which every row is older than $2, the oldest first.
SELECT format('%I.%I', chunk_schema, chunk_name) AS part, range_end AS until
  FROM timescaledb_information.chunks
 WHERE format('%I.%I', hypertable_schema, hypertable_name)::regclass = $1::regclass
   AND range_end <= now() - $2::interval
 ORDER BY range_end;
