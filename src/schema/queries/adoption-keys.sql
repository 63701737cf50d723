-- What schema hyperfeed_wanted asks of the rows of a table, and the table of schema $1 does not yet:
-- unique keys by their columns, checks by their expression.
SELECT wanted.relname AS "table",
       pg_get_constraintdef(c.oid) AS definition,
       CASE WHEN c.contype IN ('p', 'u') THEN (
           SELECT array_agg(quote_ident(a.attname) ORDER BY k.position)
             FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, position)
             JOIN pg_attribute a ON a.attrelid = wanted.oid AND a.attnum = k.attnum
       ) END AS key,
       pg_get_expr(c.conbin, c.conrelid) AS "check"
  FROM pg_constraint c
  JOIN pg_class wanted ON wanted.oid = c.conrelid AND wanted.relnamespace = 'hyperfeed_wanted'::regnamespace
  JOIN pg_class found ON found.relname = wanted.relname AND found.relnamespace = $1::regnamespace
 WHERE c.contype IN ('p', 'u', 'c')
   AND NOT EXISTS (SELECT FROM pg_constraint there
                    WHERE there.conrelid = found.oid AND pg_get_constraintdef(there.oid) = pg_get_constraintdef(c.oid))
 ORDER BY wanted.relname, c.conname;
