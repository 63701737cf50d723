-- hyperfeed_roll_up as 0007 describes it, at less than half the cost: many candles are counted by few
-- scans, and one look into the index a bucket is left to what lies scattered.
CREATE OR REPLACE FUNCTION hyperfeed_roll_up(times timestamptz[], exchanges text[], symbols text[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    one_exchange text;
    all_symbols text[];
    -- Of the buckets that are touched at a level: element i of both arrays names one.
    buckets timestamptz[];
    bucket_symbols text[];
    since timestamptz;
    until timestamptz;
    level record;
    -- Open and close in one order: PostgreSQL sorts once for both.
    candle CONSTANT text := $sql$
        date_bin($1, time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket, symbol, exchange,
        (array_agg(open ORDER BY time))[1], max(high), min(low), (array_agg(close ORDER BY time))[count(*)],
        sum(volume), CASE WHEN count(trades) = count(*) THEN sum(trades)::bigint END
    $sql$;
    -- All buckets between two times, of all the symbols: of a minute of a thousand symbols, of a backfill.
    -- Those that were not touched come out as they are.
    of_all CONSTANT text := 'SELECT ' || candle || $sql$
          FROM %I AS finer
         WHERE exchange = $2 AND symbol = ANY ($5) AND time >= $3 AND time < $4
         GROUP BY 1, symbol, exchange
    $sql$;
    -- For each run of buckets of a symbol a look into the index: a join would compare all with all.
    of_runs CONSTANT text := $sql$
        SELECT found.*
          FROM (SELECT symbol, min(bucket) AS since, max(bucket) + $1 AS until
                  FROM (SELECT bucket, symbol, bucket - $1 * row_number() OVER (PARTITION BY symbol ORDER BY bucket) AS run
                          FROM unnest($6, $7) AS touched (bucket, symbol)) AS numbered
                 GROUP BY symbol, run
          ) AS runs CROSS JOIN LATERAL (SELECT $sql$ || candle || $sql$
                  FROM %I AS finer
                 WHERE finer.exchange = $2 AND finer.symbol = runs.symbol AND finer.time >= runs.since AND finer.time < runs.until
                   AND finer.time >= $3 AND finer.time < $4 -- constants, so that the planner leaves the other chunks out
                 GROUP BY 1, finer.symbol, finer.exchange
          ) AS found
    $sql$;
BEGIN
    -- Two transactions with candles of one bucket would not see each other's. The second waits here,
    -- and every statement below sees what was committed before it.
    PERFORM pg_advisory_xact_lock(hashtext('hyperfeed_roll_up'), hashtext(exchange))
       FROM (SELECT DISTINCT exchange FROM unnest(exchanges) AS exchange ORDER BY exchange) AS one;

    FOR one_exchange IN SELECT DISTINCT unnest(exchanges) LOOP
        SELECT array_agg(time), array_agg(symbol), array_agg(DISTINCT symbol) INTO buckets, bucket_symbols, all_symbols
          FROM unnest(times, exchanges, symbols) AS named (time, exchange, symbol) WHERE exchange = one_exchange;
        FOR level IN
            SELECT source, target, width, dropped_before
              FROM (VALUES ('market_data', 'market_data_5m', INTERVAL '5 minutes'),
                           ('market_data_5m', 'market_data_15m', INTERVAL '15 minutes'),
                           ('market_data_15m', 'market_data_1h', INTERVAL '1 hour'),
                           ('market_data_1h', 'market_data_4h', INTERVAL '4 hours'),
                           -- '1 day' would be of the session's time zone, and have 25 hours once a year.
                           ('market_data_4h', 'market_data_1d', INTERVAL '24 hours')) AS l (source, target, width)
              JOIN hyperfeed_series ON name = source
             ORDER BY width
        LOOP
            SELECT array_agg(bucket), array_agg(symbol), min(bucket), max(bucket) + level.width
              INTO buckets, bucket_symbols, since, until
              FROM (SELECT DISTINCT date_bin(level.width, time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket, symbol
                      FROM unnest(buckets, bucket_symbols) AS finer (time, symbol)) AS touched;
            EXECUTE format($sql$
                INSERT INTO %I AS known (time, symbol, exchange, open, high, low, close, volume, trades)
                $sql$ || CASE
                    -- At least half of what lies between is touched.
                    WHEN 2 * cardinality(buckets) * level.width >= cardinality(all_symbols) * (until - since) THEN of_all
                    ELSE of_runs
                END || $sql$
                ORDER BY 1, 3, 2
                ON CONFLICT (time, exchange, symbol) DO UPDATE SET
                       open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
                       volume = excluded.volume, trades = excluded.trades
                 WHERE (known.open, known.high, known.low, known.close, known.volume, known.trades)
                       IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.trades)
                   AND (known.time >= $8 OR (excluded.volume >= known.volume AND excluded.high >= known.high AND excluded.low <= known.low))
                $sql$, level.target, level.source)
            USING level.width, one_exchange, since, until, all_symbols, buckets, bucket_symbols, level.dropped_before;
        END LOOP;
    END LOOP;
END
$$;
