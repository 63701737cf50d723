-- What the daemons warn of. The document keeps "System logs: 1 year" (4.3) and has no table for them.
CREATE TABLE system_logs (
    time TIMESTAMPTZ NOT NULL CHECK (time >= '2009-01-03 00:00:00+00' AND time < '2200-01-01 00:00:00+00'),
    level VARCHAR(10) NOT NULL,  -- warn, error, fatal
    component VARCHAR(100) NOT NULL,
    exchange VARCHAR(50) NOT NULL,
    message TEXT NOT NULL,
    context JSONB NOT NULL
);

SELECT hyperfeed_partition_by_time('system_logs', '1 month');
CREATE INDEX system_logs_time_idx ON system_logs (time DESC);
CREATE INDEX system_logs_level_time_idx ON system_logs (level, time DESC);
CREATE INDEX system_logs_exchange_time_idx ON system_logs (exchange, time DESC);
