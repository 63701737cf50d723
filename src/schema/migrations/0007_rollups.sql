-- Candles of 5 minutes and more, rolled up from the next finer ones: market_data itself holds candles
-- of one minute and nothing else, so that who follows the document never mixes resolutions.
--
-- `trades` is a BIGINT here: a sum of INTEGERs that does not fit would stop the writer.

DO $$
DECLARE
    rollup text;
BEGIN
    FOREACH rollup IN ARRAY ARRAY['market_data_5m', 'market_data_15m', 'market_data_1h', 'market_data_4h', 'market_data_1d'] LOOP
        EXECUTE format('CREATE TABLE %I (LIKE market_data INCLUDING CONSTRAINTS)', rollup);
        EXECUTE format('ALTER TABLE %I ALTER COLUMN trades TYPE BIGINT, ADD UNIQUE (time, exchange, symbol)', rollup);
        PERFORM hyperfeed_partition_by_time(rollup::regclass, '1 month');
        EXECUTE format('CREATE INDEX %I ON %I (symbol, time DESC)', rollup || '_symbol_time_idx', rollup);
        EXECUTE format('CREATE INDEX %I ON %I (exchange, time DESC)', rollup || '_exchange_time_idx', rollup);
    END LOOP;
END
$$;

CREATE VIEW market_candles AS
SELECT time, symbol, exchange, '1m' AS timeframe, open, high, low, close, volume, trades::bigint AS trades FROM market_data
UNION ALL
SELECT time, symbol, exchange, '5m', open, high, low, close, volume, trades FROM market_data_5m
UNION ALL
SELECT time, symbol, exchange, '15m', open, high, low, close, volume, trades FROM market_data_15m
UNION ALL
SELECT time, symbol, exchange, '1h', open, high, low, close, volume, trades FROM market_data_1h
UNION ALL
SELECT time, symbol, exchange, '4h', open, high, low, close, volume, trades FROM market_data_4h
UNION ALL
SELECT time, symbol, exchange, '1d', open, high, low, close, volume, trades FROM market_data_1d;

-- Computes anew every bucket in which one of these candles of market_data lies; element i of the
-- three arrays names a candle. In the transaction that stored them, the buckets are right at every
-- moment, whatever the order in which candles come, and however late.
--
-- `trades` is NULL where one of the counts is: a sum without it would look exact and not be.
-- Where the finer candles have been dropped by retention, a bucket is never replaced by a smaller
-- part of itself: a full recount only widens it.
CREATE FUNCTION hyperfeed_roll_up(times timestamptz[], exchanges text[], symbols text[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    -- Whole days hold whole buckets. Constants, so that the planner leaves the other chunks out.
    first_day CONSTANT timestamptz := date_trunc('day', (SELECT min(t) FROM unnest(times) AS t), 'UTC');
    last_day CONSTANT timestamptz := date_trunc('day', (SELECT max(t) FROM unnest(times) AS t), 'UTC');
    level record;
BEGIN
    -- Two transactions with candles of one bucket would not see each other's. The second waits here,
    -- and every statement below sees what was committed before it.
    PERFORM pg_advisory_xact_lock(hashtext('hyperfeed_roll_up'), hashtext(exchange))
       FROM (SELECT DISTINCT exchange FROM unnest(exchanges) AS exchange ORDER BY exchange) AS one;

    FOR level IN
        SELECT source, target, width, dropped_before
          FROM (VALUES ('market_data', 'market_data_5m', INTERVAL '5 minutes'),
                       ('market_data_5m', 'market_data_15m', INTERVAL '15 minutes'),
                       ('market_data_15m', 'market_data_1h', INTERVAL '1 hour'),
                       ('market_data_1h', 'market_data_4h', INTERVAL '4 hours'),
                       ('market_data_4h', 'market_data_1d', INTERVAL '1 day')) AS l (source, target, width)
          JOIN hyperfeed_series ON name = source
         ORDER BY width
    LOOP
        EXECUTE format($sql$
            WITH touched AS (
                SELECT DISTINCT date_bin($1, time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket, exchange, symbol
                  FROM unnest($2, $3, $4) AS candle (time, exchange, symbol)
            )
            INSERT INTO %I AS known (time, symbol, exchange, open, high, low, close, volume, trades)
            SELECT bucket, symbol, exchange, candle.*
              FROM touched CROSS JOIN LATERAL (
                   -- For each bucket a look into the index: a join would compare all with all.
                   SELECT (array_agg(open ORDER BY time))[1], max(high), min(low), (array_agg(close ORDER BY time DESC))[1],
                          sum(volume), CASE WHEN count(trades) = count(*) THEN sum(trades)::bigint END
                     FROM %I AS finer
                    WHERE finer.symbol = touched.symbol AND finer.exchange = touched.exchange
                      AND finer.time >= bucket AND finer.time < bucket + $1
                      AND finer.time >= $5 AND finer.time < $6
                   HAVING count(*) > 0
              ) AS candle
             ORDER BY bucket, exchange, symbol
            ON CONFLICT (time, exchange, symbol) DO UPDATE SET
                   open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
                   volume = excluded.volume, trades = excluded.trades
             WHERE (known.open, known.high, known.low, known.close, known.volume, known.trades)
                   IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.trades)
               AND (known.time >= $7 OR (excluded.volume >= known.volume AND excluded.high >= known.high AND excluded.low <= known.low))
            $sql$, level.target, level.source)
        USING level.width, times, exchanges, symbols, first_day, last_day + INTERVAL '1 day', level.dropped_before;
    END LOOP;
END
$$;
