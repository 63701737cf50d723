-- Tells the mirror (src/writers/mirror.ts) which rows changed of the tables that Redis holds a copy of.
--
-- A notification is the name of the table and, where they are few, the ids that it goes by:
-- 'strategies 3,17'. Never what the rows hold: whoever may connect may LISTEN. Not more than 500 ids,
-- since a payload ends at 8,000 bytes; without ids it says that anything may have changed.

CREATE FUNCTION hyperfeed_notify_mirror() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    changed bigint;
    ids text;
BEGIN
    IF TG_OP <> 'TRUNCATE' THEN
        EXECUTE format(
            'SELECT count(*), string_agg(id::text, '','')
               FROM (SELECT id FROM (%s) AS ids (id) WHERE id IS NOT NULL LIMIT 501) AS few',
            format(
                CASE TG_OP
                    WHEN 'INSERT' THEN 'SELECT DISTINCT %1$I FROM new_rows'
                    WHEN 'DELETE' THEN 'SELECT DISTINCT %1$I FROM old_rows'
                    -- The id itself may be what changed.
                    ELSE 'SELECT %1$I FROM old_rows UNION SELECT %1$I FROM new_rows'
                END,
                TG_ARGV[0]))
        INTO changed, ids;
        IF changed = 0 THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM pg_notify(
        'hyperfeed_mirror', concat_ws(' ', TG_TABLE_NAME, CASE WHEN changed <= 500 THEN ids END));
    RETURN NULL;
END
$$;

-- Once a statement, not once a row: a bulk load makes one notification.
DO $$
DECLARE
    mirrored record;
BEGIN
    FOR mirrored IN
        SELECT * FROM (VALUES ('strategies', 'id'), ('risk_limits', 'user_id'), ('user_sessions', 'id')) AS t (name, id)
    LOOP
        EXECUTE format(
            'CREATE TRIGGER hyperfeed_mirror_insert AFTER INSERT ON %1$I
                REFERENCING NEW TABLE AS new_rows
                FOR EACH STATEMENT EXECUTE FUNCTION hyperfeed_notify_mirror(%2$L);
             CREATE TRIGGER hyperfeed_mirror_update AFTER UPDATE ON %1$I
                REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
                FOR EACH STATEMENT EXECUTE FUNCTION hyperfeed_notify_mirror(%2$L);
             CREATE TRIGGER hyperfeed_mirror_delete AFTER DELETE ON %1$I
                REFERENCING OLD TABLE AS old_rows
                FOR EACH STATEMENT EXECUTE FUNCTION hyperfeed_notify_mirror(%2$L);
             CREATE TRIGGER hyperfeed_mirror_truncate AFTER TRUNCATE ON %1$I
                FOR EACH STATEMENT EXECUTE FUNCTION hyperfeed_notify_mirror(%2$L)',
            mirrored.name, mirrored.id);
    END LOOP;
END
$$;
