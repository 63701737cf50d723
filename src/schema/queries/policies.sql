-- The tables of $1 whose policy of the kind $3 does not say $2; NULL stands for none. Community only.
SELECT wanted.name AS "table", wanted.age::text AS age, j.job_id IS NOT NULL AS present
  FROM unnest($1::text[], $2::interval[]) AS wanted (name, age)
  LEFT JOIN timescaledb_information.jobs j
    ON j.proc_name = $3 AND j.hypertable_schema = current_schema() AND j.hypertable_name = wanted.name
 WHERE coalesce(j.config ->> 'drop_after', j.config ->> 'compress_after')::interval IS DISTINCT FROM wanted.age
 ORDER BY array_position($1, wanted.name);
