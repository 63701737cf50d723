-- Section 1.1 of docs/schema-document.md: what the daemon writes.
--
-- The unique key leads with time, so that it is the document's primary time index as well; with
-- (exchange, symbol, ...) first a COPY into trades takes a quarter longer.
-- `< 'Infinity'` keeps NaN out too: NUMERIC sorts NaN above Infinity, so `> 0` alone lets both in.
-- An absurd time would make a chunk of its own; 2009-01-03 is the day of the first bitcoin block.

-- Closed candles of one minute, nothing else. A minute without trades is a candle: volume may be 0.
CREATE TABLE market_data (
    time TIMESTAMPTZ NOT NULL CHECK (time >= '2009-01-03 00:00:00+00' AND time < '2200-01-01 00:00:00+00'),
    symbol VARCHAR(64) NOT NULL,
    exchange VARCHAR(50) NOT NULL,
    open DECIMAL NOT NULL CHECK (open > 0 AND open < 'Infinity'),
    high DECIMAL NOT NULL CHECK (high > 0 AND high < 'Infinity'),
    low DECIMAL NOT NULL CHECK (low > 0 AND low < 'Infinity'),
    close DECIMAL NOT NULL CHECK (close > 0 AND close < 'Infinity'),
    volume DECIMAL NOT NULL CHECK (volume >= 0 AND volume < 'Infinity'),
    trades INTEGER CHECK (trades >= 0),
    UNIQUE (time, exchange, symbol)
);
SELECT hyperfeed_adopt('market_data');
SELECT hyperfeed_partition_by_time('market_data', '1 month');
CREATE INDEX IF NOT EXISTS market_data_symbol_time_idx ON market_data (symbol, time DESC);
CREATE INDEX IF NOT EXISTS market_data_exchange_time_idx ON market_data (exchange, time DESC);

CREATE TABLE order_book (
    time TIMESTAMPTZ NOT NULL CHECK (time >= '2009-01-03 00:00:00+00' AND time < '2200-01-01 00:00:00+00'),
    symbol VARCHAR(64) NOT NULL,
    exchange VARCHAR(50) NOT NULL,
    bids JSONB,  -- [{price: decimal, amount: decimal}, ...]
    asks JSONB,  -- [{price: decimal, amount: decimal}, ...]
    UNIQUE (time, exchange, symbol)
);
SELECT hyperfeed_adopt('order_book');
SELECT hyperfeed_partition_by_time('order_book', '1 day');
CREATE INDEX IF NOT EXISTS order_book_symbol_time_idx ON order_book (symbol, time DESC);

CREATE TABLE trades (
    time TIMESTAMPTZ NOT NULL CHECK (time >= '2009-01-03 00:00:00+00' AND time < '2200-01-01 00:00:00+00'),
    symbol VARCHAR(64) NOT NULL,
    exchange VARCHAR(50) NOT NULL,
    trade_id VARCHAR(100),
    side VARCHAR(4) NOT NULL CHECK (side IN ('buy', 'sell')),
    price DECIMAL NOT NULL CHECK (price > 0 AND price < 'Infinity'),
    quantity DECIMAL NOT NULL CHECK (quantity > 0 AND quantity < 'Infinity'),
    FOREIGN KEY (symbol, exchange) REFERENCES symbols(symbol, exchange),
    UNIQUE (time, exchange, symbol, trade_id)
);
SELECT hyperfeed_adopt('trades');
SELECT hyperfeed_partition_by_time('trades', '1 month');
CREATE INDEX IF NOT EXISTS trades_symbol_time_idx ON trades (symbol, time DESC);
CREATE INDEX IF NOT EXISTS trades_exchange_time_idx ON trades (exchange, time DESC);
