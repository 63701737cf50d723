-- The tables of schema $1 that schema hyperfeed_wanted has as well, and how they differ. A shorter
-- VARCHAR is widened by the migration; every other difference is for a person.
SELECT wanted.relname AS "table",
       found.relkind NOT IN ('r', 'p') AS "isOther",
       ARRAY(
           SELECT CASE
                      WHEN f.name IS NULL THEN format('%s: no column %s; ALTER TABLE %1$I ADD COLUMN %I %s', wanted.relname, w.name, w.type)
                      WHEN w.name IS NULL THEN format('%s.%s: not ours, and NOT NULL without a default; ALTER TABLE %1$I ALTER COLUMN %2$I DROP NOT NULL', wanted.relname, f.name)
                      WHEN f.id <> w.id OR f.size > w.size AND w.size > 0 THEN format('%s.%s: is %s, must be %s; ALTER TABLE %1$I ALTER COLUMN %2$I TYPE %4$s', wanted.relname, w.name, f.type, w.type)
                      WHEN f.filled THEN format('%s.%s: is NOT NULL, must not be; ALTER TABLE %1$I ALTER COLUMN %2$I DROP NOT NULL', wanted.relname, w.name)
                      ELSE format('%s.%s: may be NULL, must not; ALTER TABLE %1$I ALTER COLUMN %2$I SET NOT NULL', wanted.relname, w.name)
                  END
             FROM (SELECT attname AS name, atttypid AS id, atttypmod AS size, attnotnull AS filled, format_type(atttypid, atttypmod) AS type
                     FROM pg_attribute WHERE attrelid = wanted.oid AND attnum > 0 AND NOT attisdropped) AS w
             FULL JOIN
                  (SELECT attname AS name, atttypid AS id, atttypmod AS size, attnotnull AS filled, format_type(atttypid, atttypmod) AS type,
                          attnotnull AND NOT atthasdef AND attidentity = '' AS mandatory
                     FROM pg_attribute WHERE attrelid = found.oid AND attnum > 0 AND NOT attisdropped) AS f ON f.name = w.name
            WHERE CASE WHEN w.name IS NULL THEN f.mandatory
                       ELSE f.name IS NULL OR f.id <> w.id OR f.filled <> w.filled OR f.size > w.size AND w.size > 0 END
            ORDER BY w.name
       ) AS differences
  FROM pg_class wanted
  JOIN pg_class found ON found.relname = wanted.relname AND found.relnamespace = $1::regnamespace
 WHERE wanted.relnamespace = 'hyperfeed_wanted'::regnamespace AND wanted.relkind IN ('r', 'p')
 ORDER BY wanted.relname;
