-- Section 1.2 of docs/schema-document.md. The daemon writes none of these rows.
--
-- No unique key here, so the time index that create_hypertable would make is made by name.

-- Price 0 is legal: an order that never filled has none, and the column is NOT NULL. Fees may be rebates.
CREATE TABLE executed_orders (
    time TIMESTAMPTZ NOT NULL CHECK (time >= '2009-01-03 00:00:00+00' AND time < '2200-01-01 00:00:00+00'),
    order_id VARCHAR(100) NOT NULL,
    symbol VARCHAR(64) NOT NULL,
    exchange VARCHAR(50) NOT NULL,
    side VARCHAR(4) NOT NULL CHECK (side IN ('buy', 'sell')),
    type VARCHAR(20) NOT NULL,
    price DECIMAL NOT NULL CHECK (price >= 0 AND price < 'Infinity'),
    quantity DECIMAL NOT NULL CHECK (quantity > 0 AND quantity < 'Infinity'),
    filled_quantity DECIMAL NOT NULL,
    fees DECIMAL NOT NULL,
    status VARCHAR(20) NOT NULL,
    strategy_id INTEGER REFERENCES strategies(id)
);
SELECT hyperfeed_adopt('executed_orders');
SELECT hyperfeed_partition_by_time('executed_orders', '1 month');
CREATE INDEX IF NOT EXISTS executed_orders_time_idx ON executed_orders (time DESC);
CREATE INDEX IF NOT EXISTS executed_orders_order_id_idx ON executed_orders (order_id);
CREATE INDEX IF NOT EXISTS executed_orders_symbol_time_idx ON executed_orders (symbol, time DESC);

CREATE TABLE positions (
    id SERIAL PRIMARY KEY,
    position_id VARCHAR(100) NOT NULL,
    symbol VARCHAR(64) NOT NULL,
    exchange VARCHAR(50) NOT NULL,
    side VARCHAR(4) NOT NULL,
    quantity DECIMAL NOT NULL,
    entry_price DECIMAL NOT NULL,
    exit_price DECIMAL,
    fees DECIMAL NOT NULL,
    pnl DECIMAL,
    pnl_percentage DECIMAL,
    opened_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ,
    strategy_id INTEGER REFERENCES strategies(id)
);
SELECT hyperfeed_adopt('positions');

CREATE INDEX IF NOT EXISTS positions_position_id_idx ON positions (position_id);
CREATE INDEX IF NOT EXISTS positions_symbol_opened_at_idx ON positions (symbol, opened_at DESC);
CREATE INDEX IF NOT EXISTS positions_strategy_id_idx ON positions (strategy_id);

CREATE TABLE performance_metrics (
    time TIMESTAMPTZ NOT NULL CHECK (time >= '2009-01-03 00:00:00+00' AND time < '2200-01-01 00:00:00+00'),
    strategy_id INTEGER REFERENCES strategies(id),
    metric_name VARCHAR(50) NOT NULL,
    value DECIMAL NOT NULL
);
SELECT hyperfeed_adopt('performance_metrics');
SELECT hyperfeed_partition_by_time('performance_metrics', '1 month');
CREATE INDEX IF NOT EXISTS performance_metrics_time_idx ON performance_metrics (time DESC);
CREATE INDEX IF NOT EXISTS performance_metrics_strategy_id_time_idx ON performance_metrics (strategy_id, time DESC);
CREATE INDEX IF NOT EXISTS performance_metrics_metric_name_time_idx ON performance_metrics (metric_name, time DESC);
