-- What the other migrations stand on: the extension where the server has it, the one place that
-- knows whether a table becomes a hypertable, and the checksums of what has run.

DO $$
DECLARE
    -- The library's own switch. NULL: the library is not loaded, and CREATE EXTENSION would end the session.
    disable_load CONSTANT text := current_setting('timescaledb.disable_load', true);
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RETURN;
    ELSIF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') THEN
        RAISE NOTICE 'this server has no TimescaleDB: the time series are partitioned tables';
    ELSIF disable_load IS DISTINCT FROM 'off' THEN
        RAISE WARNING 'this server has TimescaleDB but does not load it: the time series are partitioned tables'
            USING HINT = 'Add timescaledb to shared_preload_libraries, leave timescaledb.disable_load off, restart the server.';
    ELSE
        CREATE EXTENSION timescaledb;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE WARNING 'this server has TimescaleDB but % may not create it: the time series are partitioned tables', current_user
            USING HINT = 'Let the owner of the database run CREATE EXTENSION timescaledb.';
END
$$;

-- The time series: what partitions them, and up to where retention has removed rows.
CREATE TABLE hyperfeed_series (
    name NAME PRIMARY KEY,
    chunk_interval INTERVAL NOT NULL,
    dropped_before TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
);

-- The one place that knows what a time series is: a hypertable where the extension is, a table
-- partitioned by range elsewhere. Called again after the extension came or went, it turns one into
-- the other, rows and all; it holds the table locked as long as that takes.
CREATE FUNCTION hyperfeed_partition_by_time(relation regclass, width interval) RETURNS void
LANGUAGE plpgsql
-- TimescaleDB warns of every VARCHAR; the document asks for them.
SET client_min_messages = error
AS $$
DECLARE
    series CONSTANT name := (SELECT relname FROM pg_class WHERE oid = relation);
    is_partitioned CONSTANT boolean := (SELECT relkind = 'p' FROM pg_class WHERE oid = relation);
    with_timescale CONSTANT boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    INSERT INTO hyperfeed_series VALUES (series, width)
        ON CONFLICT (name) DO UPDATE SET chunk_interval = excluded.chunk_interval;
    IF is_partitioned = with_timescale THEN
        PERFORM hyperfeed_rebuild(relation, partitioned => NOT with_timescale);
    END IF;
    IF with_timescale THEN
        PERFORM create_hypertable(series::text::regclass, by_range('time', width),
            create_default_indexes => FALSE, if_not_exists => TRUE, migrate_data => TRUE);
        -- if_not_exists leaves the interval of a hypertable that stands as it is.
        PERFORM set_chunk_time_interval(series::text::regclass, width);
    ELSE
        PERFORM hyperfeed_add_partitions_ahead();
    END IF;
END
$$;

-- PostgreSQL cannot partition a table in place: a new one takes the name, the rows, and all that
-- hangs on it. A dependent that is no view makes it fail, and nothing has changed.
CREATE FUNCTION hyperfeed_rebuild(relation regclass, partitioned boolean) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    series CONSTANT name := (SELECT relname FROM pg_class WHERE oid = relation);
    -- Only once the old table is gone, whose indexes have the names.
    afterwards CONSTANT text[] := ARRAY(
        SELECT format('ALTER TABLE %I ADD CONSTRAINT %I %s', series, conname, pg_get_constraintdef(oid))
          FROM pg_constraint WHERE conrelid = relation AND contype IN ('p', 'u', 'f')
    ) || ARRAY(
        SELECT replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
          FROM pg_index
         WHERE indrelid = relation
           AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = relation AND conindid = indexrelid)
    ) || ARRAY(
        SELECT format('GRANT %s ON %I TO %s', privilege_type, series,
                   CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
          FROM pg_class, aclexplode(relacl) WHERE oid = relation AND grantee <> relowner
    );
    views CONSTANT text[] := ARRAY(
        SELECT DISTINCT format('CREATE OR REPLACE VIEW %s AS %s', v.oid::regclass, pg_get_viewdef(v.oid))
          FROM pg_depend d
          JOIN pg_rewrite r ON r.oid = d.objid
          JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
         WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = relation
    );
    statement text;
BEGIN
    EXECUTE format('ALTER TABLE %I RENAME TO hyperfeed_replaced', series);
    EXECUTE format('CREATE TABLE %I (LIKE hyperfeed_replaced INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS) %s',
        series, CASE WHEN partitioned THEN 'PARTITION BY RANGE (time)' END);
    -- Partitions are made by this function's owner; so the table has to be its too.
    EXECUTE format('ALTER TABLE %I OWNER TO %s', series,
        (SELECT proowner::regrole FROM pg_proc WHERE oid = 'hyperfeed_add_partitions(text, timestamptz[])'::regprocedure));
    PERFORM hyperfeed_add_partitions(series, ARRAY(SELECT DISTINCT date_trunc('day', time, 'UTC') FROM hyperfeed_replaced));
    EXECUTE format('INSERT INTO %I SELECT * FROM hyperfeed_replaced', series);
    FOREACH statement IN ARRAY views LOOP
        EXECUTE statement;
    END LOOP;
    DROP TABLE hyperfeed_replaced;
    FOREACH statement IN ARRAY afterwards LOOP
        EXECUTE statement;
    END LOOP;
END
$$;

-- Partitions of a series for these times, where it has none: calendar months or days, UTC. Nothing
-- to do for a hypertable. As its owner, so that a writer with a late row need not be one.
CREATE FUNCTION hyperfeed_add_partitions(series text, times timestamptz[]) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
AS $$
DECLARE
    width CONSTANT interval := (
        SELECT chunk_interval FROM hyperfeed_series JOIN pg_class ON oid = to_regclass(quote_ident(series)) AND relkind = 'p'
         WHERE name = series
    );
    since timestamptz;
    partition text;
BEGIN
    IF width IS NULL THEN
        RETURN;
    ELSIF width NOT IN (INTERVAL '1 day', INTERVAL '1 month') THEN
        RAISE 'a table is partitioned by days or by months, not by %', width;
    END IF;
    FOR since IN
        SELECT DISTINCT date_trunc(CASE width WHEN INTERVAL '1 day' THEN 'day' ELSE 'month' END, t, 'UTC')
          FROM unnest(times) AS t
         WHERE t >= '2009-01-03 00:00:00+00' AND t < '2200-01-01 00:00:00+00' -- as the tables' checks
    LOOP
        partition := series || to_char(since AT TIME ZONE 'UTC', '"_p"YYYYMMDD');
        CONTINUE WHEN to_regclass(quote_ident(partition)) IS NOT NULL;
        -- Two daemons at once: the second waits, and finds it there.
        PERFORM pg_advisory_xact_lock(hashtext('hyperfeed_add_partitions'), 0);
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
            partition, series, since, (since AT TIME ZONE 'UTC' + width) AT TIME ZONE 'UTC');
    END LOOP;
END
$$;

-- For whoever writes in the coming week. The daemon makes those of its own late rows when they come.
CREATE FUNCTION hyperfeed_add_partitions_ahead() RETURNS void
LANGUAGE sql
AS $$
    SELECT hyperfeed_add_partitions(name::text, ARRAY(SELECT generate_series(now(), now() + INTERVAL '7 days', INTERVAL '1 day')))
      FROM hyperfeed_series
$$;

-- Its owner's rights, so nobody's temporary tables before ours.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION hyperfeed_add_partitions SET search_path = %I, pg_temp', current_schema());
END
$$;

-- Tables that somebody made from the document before us are adopted in place: set aside here, each
-- is brought to the shape of the one that a migration has just made, and takes its place.
-- src/schema/adopt.ts has looked for what stands in the way before.
CREATE FUNCTION hyperfeed_set_aside(names text[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    found regclass;
BEGIN
    FOR found IN SELECT oid FROM pg_class WHERE relname = ANY (names) AND relnamespace = current_schema()::regnamespace LOOP
        CREATE SCHEMA IF NOT EXISTS hyperfeed_adopted;
        EXECUTE format('ALTER TABLE %s SET SCHEMA hyperfeed_adopted', found);
    END LOOP;
END
$$;

CREATE FUNCTION hyperfeed_adopt(made regclass) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    made_name CONSTANT name := (SELECT relname FROM pg_class WHERE oid = made);
    adopted CONSTANT regclass := to_regclass(format('hyperfeed_adopted.%I', made_name));
    alterations CONSTANT text[] := ARRAY(
        SELECT format('ALTER COLUMN %I TYPE %s', m.attname, format_type(m.atttypid, m.atttypmod))
          FROM pg_attribute m JOIN pg_attribute a ON a.attrelid = adopted AND a.attname = m.attname
         WHERE m.attrelid = made AND m.attnum > 0 AND (a.atttypid, a.atttypmod) <> (m.atttypid, m.atttypmod)
    );
    constraints CONSTANT text[] := ARRAY(
        SELECT format('ADD CONSTRAINT %I %s', conname, definition)
          FROM pg_constraint CROSS JOIN LATERAL pg_get_constraintdef(oid) AS definition
         WHERE conrelid = made AND contype IN ('p', 'u', 'f', 'c')
           AND NOT EXISTS (SELECT FROM pg_constraint there WHERE there.conrelid = adopted AND pg_get_constraintdef(there.oid) = definition)
    );
    change text;
BEGIN
    IF adopted IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('DROP TABLE %s', made);
    -- One by one: a hypertable takes no more at once.
    FOREACH change IN ARRAY alterations || constraints LOOP
        EXECUTE format('ALTER TABLE %s %s', adopted, change);
    END LOOP;
    EXECUTE format('ALTER TABLE %s SET SCHEMA %I', adopted, current_schema());
END
$$;

-- A row is written in the transaction of the migration that it names.
CREATE TABLE hyperfeed_migration_checksums (
    name TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
