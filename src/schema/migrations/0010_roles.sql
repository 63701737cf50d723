-- Three roles without login; whoever logs in is made a member of one.
--   hyperfeed_owner   owns the schema: migrations, retention
--   hyperfeed_writer  the daemon: adds rows to what it writes, reads what it mirrors into Redis
--   hyperfeed_reader  dashboards: market data, trading history, logs; no account, no secret
-- Roles are the server's: another database of it may have made them.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['hyperfeed_owner', 'hyperfeed_writer', 'hyperfeed_reader'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database was first, this moment
            WHEN insufficient_privilege THEN
                RAISE NOTICE '% may not create the role %, and goes on without it', current_user, role
                    USING HINT = 'Let a role with CREATEROLE make it, then SELECT hyperfeed_grant().';
        END;
    END LOOP;
END
$$;

-- Gives each role what it needs of what is there. May be repeated; the end of every migration from
-- here on (see migrate.ts), so that none can forget its tables.
CREATE FUNCTION hyperfeed_grant() RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    candles CONSTANT text[] := ARRAY['market_data', 'market_data_5m', 'market_data_15m', 'market_data_1h', 'market_data_4h', 'market_data_1d'];
    known record;
BEGIN
    -- Every table of the daemon's own begins with hyperfeed_ or ingest_.
    FOR known IN
        SELECT role, privileges, relation.oid::regclass AS relation
          FROM (VALUES
            ('hyperfeed_writer', 'SELECT, INSERT', ARRAY['order_book', 'trades', 'system_logs']),
            ('hyperfeed_writer', 'SELECT, INSERT, UPDATE', candles || ARRAY['symbols']),
            ('hyperfeed_writer', 'SELECT', ARRAY['strategies', 'risk_limits', 'user_sessions']), -- mirrored
            ('hyperfeed_reader', 'SELECT', candles || ARRAY['market_candles', 'order_book', 'trades', 'symbols',
                'executed_orders', 'positions', 'performance_metrics', 'system_logs'])
          ) AS may (role, privileges, names)
          JOIN pg_class relation ON relation.relname = ANY (names) AND relation.relnamespace = current_schema()::regnamespace
        UNION ALL
        SELECT role, CASE WHEN role = 'hyperfeed_writer' AND relname ~ '^ingest_' THEN 'SELECT, INSERT, UPDATE' ELSE 'SELECT' END, oid::regclass
          FROM pg_class, (VALUES ('hyperfeed_writer'), ('hyperfeed_reader')) AS both_of_them (role)
         WHERE relkind IN ('r', 'p') AND relname ~ '^(hyperfeed|ingest)_' AND relnamespace = current_schema()::regnamespace
    LOOP
        CONTINUE WHEN to_regrole(known.role) IS NULL;
        EXECUTE format('GRANT %s ON %s TO %I', known.privileges, known.relation, known.role);
    END LOOP;

    -- It runs as its owner; so not for everybody.
    REVOKE EXECUTE ON FUNCTION hyperfeed_add_partitions FROM PUBLIC;
    IF to_regrole('hyperfeed_writer') IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO hyperfeed_writer', current_schema());
        EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO hyperfeed_writer', current_database()); -- staging tables
        GRANT EXECUTE ON FUNCTION hyperfeed_add_partitions TO hyperfeed_writer;
    END IF;
    IF to_regrole('hyperfeed_reader') IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO hyperfeed_reader', current_schema());
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO hyperfeed_reader', current_database());
    END IF;
    -- Only by who keeps an owner's rights thereby: a superuser, or a member.
    IF to_regrole('hyperfeed_owner') IS NOT NULL AND pg_has_role(current_user, 'hyperfeed_owner', 'USAGE') THEN
        PERFORM hyperfeed_hand_over();
    END IF;
END
$$;

CREATE FUNCTION hyperfeed_hand_over() RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    document CONSTANT text[] := ARRAY['users', 'user_sessions', 'api_keys', 'symbols', 'strategies', 'strategy_versions',
        'risk_limits', 'risk_events', 'exchange_connections', 'system_settings', 'positions', 'market_candles'];
    -- All found before any is run: a table that a query reads cannot change hands.
    statements text[];
    statement text;
BEGIN
    EXECUTE format('GRANT CREATE, USAGE ON SCHEMA %I TO hyperfeed_owner', current_schema());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO hyperfeed_owner', current_database());
    statements := ARRAY(
        SELECT format('ALTER TABLE %s OWNER TO hyperfeed_owner', c.oid::regclass)
          FROM pg_class c LEFT JOIN pg_inherits ON inhrelid = c.oid
         WHERE c.relkind IN ('r', 'p', 'v') AND c.relnamespace = current_schema()::regnamespace
           AND (c.relname = ANY (document) OR c.relname ~ '^(hyperfeed|ingest)_'
                OR c.relname IN (SELECT name FROM hyperfeed_series)
                OR inhparent IN (SELECT to_regclass(quote_ident(name)) FROM hyperfeed_series))
           AND c.relowner <> 'hyperfeed_owner'::regrole
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO hyperfeed_owner', oid::regprocedure)
          FROM pg_proc
         WHERE proname ~ '^hyperfeed_' AND pronamespace = current_schema()::regnamespace
           AND proowner <> 'hyperfeed_owner'::regrole
    );
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
