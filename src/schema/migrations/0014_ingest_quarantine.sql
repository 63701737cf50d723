-- Rows that the table refused. They came in with the others of their batch and are kept here instead,
-- in the same transaction; `hyperfeed quarantine replay` takes them up again once the cause is mended.
CREATE TABLE ingest_quarantine (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange VARCHAR(50) NOT NULL,
    table_name TEXT NOT NULL,
    column_names TEXT[] NOT NULL,
    -- Of the frame of the spool that it came in, and its place there.
    epoch TEXT NOT NULL,
    seq BIGINT NOT NULL,
    position INTEGER NOT NULL,
    line BYTEA NOT NULL,  -- of COPY text, without its newline: bytes, since they may be no text
    sqlstate CHAR(5) NOT NULL,
    message TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    replayed_at TIMESTAMPTZ,
    UNIQUE (exchange, epoch, seq, position)
);
CREATE INDEX ingest_quarantine_waiting_idx ON ingest_quarantine (exchange, id) WHERE replayed_at IS NULL;

SELECT hyperfeed_grant();
