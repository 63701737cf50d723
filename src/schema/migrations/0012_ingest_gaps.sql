-- What is known to be complete, and what is known to be missing, of streams whose ids count up by one.

-- Up to `last_id` every id is stored or lies in a row of ingest_gaps. Moved in the transaction that
-- stored the rows, so max(trade_id), behind which a hole cannot be seen, is never asked.
CREATE TABLE ingest_cursor (
    exchange VARCHAR(50) NOT NULL,
    channel VARCHAR(20) NOT NULL,
    symbol VARCHAR(64) NOT NULL,
    last_id NUMERIC(40, 0) NOT NULL,
    last_time TIMESTAMPTZ NOT NULL,  -- of the row with this id
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (exchange, channel, symbol)
);

CREATE TABLE ingest_gaps (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange VARCHAR(50) NOT NULL,
    channel VARCHAR(20) NOT NULL,
    symbol VARCHAR(64) NOT NULL,
    from_id NUMERIC(40, 0) NOT NULL,
    to_id NUMERIC(40, 0) NOT NULL,  -- itself missing
    next_id NUMERIC(40, 0) NOT NULL,  -- below it the gap is refilled
    from_time TIMESTAMPTZ NOT NULL,  -- of the rows around it
    to_time TIMESTAMPTZ NOT NULL,
    detected_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    status TEXT NOT NULL CHECK (status IN ('open', 'filled', 'unfillable')),
    rows_filled BIGINT NOT NULL DEFAULT 0 CHECK (rows_filled >= 0),
    reason TEXT CHECK ((reason IS NOT NULL) = (status = 'unfillable')),
    closed_at TIMESTAMPTZ CHECK ((closed_at IS NULL) = (status = 'open')),
    CHECK (from_id <= next_id AND from_id <= to_id AND next_id <= to_id + 1)
);
-- Also how an open gap is known: its end stays where it is while it is refilled from the other.
CREATE UNIQUE INDEX ingest_gaps_open_idx ON ingest_gaps (exchange, channel, symbol, to_id) WHERE status = 'open';
CREATE INDEX ingest_gaps_detected_idx ON ingest_gaps (exchange, detected_at DESC);

-- Settles the ids `first` to `through` of an open gap: they are stored, or (with a reason) cannot be
-- had. Then what is below them, they, and what is above them each get a row of their own, so that no
-- row says of an id what does not hold. Nothing happens if they are settled, or those below are not.
CREATE FUNCTION hyperfeed_settle_gap(of_exchange text, of_channel text, of_symbol text, gap_to numeric, first numeric, through numeric, why text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    gap ingest_gaps;
BEGIN
    SELECT * INTO gap FROM ingest_gaps
     WHERE exchange = of_exchange AND channel = of_channel AND symbol = of_symbol AND to_id = gap_to AND status = 'open'
       FOR UPDATE;
    IF NOT FOUND OR through < gap.next_id OR first > gap.next_id THEN
        RETURN;
    END IF;
    IF why IS NULL THEN
        UPDATE ingest_gaps
           SET next_id = through + 1, rows_filled = rows_filled + through + 1 - next_id,
               status = CASE WHEN through < gap_to THEN 'open' ELSE 'filled' END,
               closed_at = CASE WHEN through < gap_to THEN NULL ELSE now() END
         WHERE id = gap.id;
        RETURN;
    END IF;
    IF gap.next_id > gap.from_id THEN
        UPDATE ingest_gaps SET to_id = gap.next_id - 1, status = 'filled', closed_at = now() WHERE id = gap.id;
        INSERT INTO ingest_gaps (exchange, channel, symbol, from_id, to_id, next_id, from_time, to_time, detected_at, status, reason, closed_at)
        VALUES (gap.exchange, gap.channel, gap.symbol, gap.next_id, through, through + 1, gap.from_time, gap.to_time, gap.detected_at, 'unfillable', why, now());
    ELSE
        UPDATE ingest_gaps SET to_id = through, next_id = through + 1, status = 'unfillable', reason = why, closed_at = now() WHERE id = gap.id;
    END IF;
    IF through < gap_to THEN
        INSERT INTO ingest_gaps (exchange, channel, symbol, from_id, to_id, next_id, from_time, to_time, detected_at, status)
        VALUES (gap.exchange, gap.channel, gap.symbol, through + 1, gap_to, through + 1, gap.from_time, gap.to_time, gap.detected_at, 'open');
    END IF;
END
$$;

SELECT hyperfeed_grant();
