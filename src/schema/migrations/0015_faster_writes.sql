-- A writer with this right checks the foreign key of trades by the batch, which costs a third of
-- checking it row by row (src/writers/foreign-key.ts). It is a superuser's to give; without it, row by row.
DO $$
DECLARE
    granted boolean;
BEGIN
    EXECUTE $q$SELECT has_parameter_privilege('hyperfeed_writer', 'session_replication_role', 'SET')$q$ INTO granted;
    IF NOT granted THEN
        EXECUTE 'GRANT SET ON PARAMETER session_replication_role TO hyperfeed_writer';
    END IF;
EXCEPTION
    WHEN internal_error THEN
        NULL; -- parameters are the server's: another database granted it, this moment
    WHEN insufficient_privilege OR undefined_object OR undefined_function THEN -- the last: before version 15
        RAISE NOTICE '% may not let hyperfeed_writer set session_replication_role: foreign keys are checked row by row', current_user
            USING HINT = 'A superuser can: GRANT SET ON PARAMETER session_replication_role TO hyperfeed_writer';
END
$$;

-- Order books are large: lz4 packs them at half the cost. Not every server was built with it.
DO $$
BEGIN
    -- Not before version 14, which would not even parse it.
    EXECUTE 'ALTER TABLE order_book ALTER COLUMN bids SET COMPRESSION lz4, ALTER COLUMN asks SET COMPRESSION lz4';
EXCEPTION
    WHEN feature_not_supported OR syntax_error THEN
        RAISE NOTICE 'this server has no lz4: order books are packed with pglz';
END
$$;
