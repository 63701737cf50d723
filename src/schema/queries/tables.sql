-- One row for each table of $1: what is there of it. The names resolve as the writers' do.
SELECT wanted.name AS "table",
       c.oid IS NOT NULL AS present,
       coalesce((
           SELECT jsonb_object_agg(a.attname, jsonb_build_object(
                      'type', format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
                      'mandatory', a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''))
             FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       ), '{}') AS columns,
       ARRAY(
           -- Only what ON CONFLICT (columns) can infer.
           SELECT (SELECT string_agg(a.attname, ', ' ORDER BY k.position)
                     FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
                     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum)
             FROM pg_index i
            WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
              AND i.indpred IS NULL AND i.indexprs IS NULL
       ) AS unique_keys,
       ARRAY(
           SELECT privilege
             FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
            WHERE has_table_privilege(c.oid, privilege)
       ) AS privileges,
       current_user AS role
  FROM unnest($1::text[]) AS wanted (name)
  LEFT JOIN pg_class c ON c.oid = to_regclass(quote_ident(wanted.name)) AND c.relkind IN ('r', 'p');
