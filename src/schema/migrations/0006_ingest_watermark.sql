-- The last frame of each spool that is stored, written in the transaction that stored it. A spool is
-- known by its epoch: after a lost spool the sequence starts again at 1, and a watermark without an
-- epoch would declare the new frames stored.
CREATE TABLE ingest_watermark (
    exchange VARCHAR(50) NOT NULL,
    epoch TEXT NOT NULL CHECK (epoch ~ '^[0-9a-f]{16}$'),
    seq BIGINT NOT NULL CHECK (seq >= 0),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (exchange, epoch)
);
