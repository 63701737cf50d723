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
        RAISE NOTICE 'this server has no TimescaleDB: the time series become plain tables';
    ELSIF disable_load IS DISTINCT FROM 'off' THEN
        RAISE WARNING 'this server has TimescaleDB but does not load it: the time series become plain tables'
            USING HINT = 'Add timescaledb to shared_preload_libraries, leave timescaledb.disable_load off, restart the server.';
    ELSE
        CREATE EXTENSION timescaledb;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE WARNING 'this server has TimescaleDB but % may not create it: the time series become plain tables', current_user
            USING HINT = 'Let the owner of the database run CREATE EXTENSION timescaledb.';
END
$$;

-- Plain tables stay plain where there is no TimescaleDB. Called again after the extension came
-- later, it turns a filled table into a hypertable.
CREATE FUNCTION hyperfeed_make_hypertable(relation regclass, chunk_interval interval) RETURNS void
LANGUAGE plpgsql
-- TimescaleDB warns of every VARCHAR; the document asks for them.
SET client_min_messages = error
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable(relation, by_range('time', chunk_interval),
            create_default_indexes => FALSE, if_not_exists => TRUE, migrate_data => TRUE);
        -- if_not_exists leaves the interval of a hypertable that stands as it is.
        PERFORM set_chunk_time_interval(relation, chunk_interval);
    END IF;
END
$$;

-- A row is written in the transaction of the migration that it names.
CREATE TABLE hyperfeed_migration_checksums (
    name TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
