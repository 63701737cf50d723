-- What is missing and has no ids to be known by: samples of order books, candles, trades of exchanges
-- whose ids do not count. Such a row says from when to when; it cannot be refilled.
ALTER TABLE ingest_gaps
    ALTER COLUMN from_id DROP NOT NULL,
    ALTER COLUMN to_id DROP NOT NULL,
    ALTER COLUMN next_id DROP NOT NULL,
    ADD CONSTRAINT ingest_gaps_ids_check CHECK (num_nulls(from_id, to_id, next_id) IN (0, 3)),
    ADD CONSTRAINT ingest_gaps_by_time_check CHECK (to_id IS NOT NULL OR (status = 'unfillable' AND from_time <= to_time));
