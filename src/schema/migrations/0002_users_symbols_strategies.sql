-- Sections 2.1 and 2.2 of docs/schema-document.md. First, because the time series refer to them.

SELECT hyperfeed_set_aside(ARRAY[
    'users', 'user_sessions', 'api_keys', 'symbols', 'strategies', 'strategy_versions',
    'market_data', 'order_book', 'trades', 'executed_orders', 'positions', 'performance_metrics',
    'risk_limits', 'risk_events', 'exchange_connections', 'system_settings'
]);

CREATE TABLE users (
    id SERIAL PRIMARY KEY,
    username VARCHAR(50) UNIQUE NOT NULL,
    email VARCHAR(100) UNIQUE NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    first_name VARCHAR(50),
    last_name VARCHAR(50),
    is_active BOOLEAN DEFAULT TRUE,
    created_at TIMESTAMPTZ DEFAULT NOW(),
    last_login TIMESTAMPTZ
);
SELECT hyperfeed_adopt('users');

CREATE INDEX IF NOT EXISTS users_username_idx ON users (username);
CREATE INDEX IF NOT EXISTS users_email_idx ON users (email);

CREATE TABLE user_sessions (
    id SERIAL PRIMARY KEY,
    user_id INTEGER REFERENCES users(id),
    session_token VARCHAR(255) UNIQUE NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ DEFAULT NOW(),
    last_accessed TIMESTAMPTZ DEFAULT NOW()
);
SELECT hyperfeed_adopt('user_sessions');

CREATE INDEX IF NOT EXISTS user_sessions_session_token_idx ON user_sessions (session_token);
CREATE INDEX IF NOT EXISTS user_sessions_user_id_idx ON user_sessions (user_id);
CREATE INDEX IF NOT EXISTS user_sessions_expires_at_idx ON user_sessions (expires_at);

CREATE TABLE api_keys (
    id SERIAL PRIMARY KEY,
    user_id INTEGER REFERENCES users(id),
    name VARCHAR(100) NOT NULL,
    key_hash VARCHAR(255) NOT NULL,
    permissions JSONB,  -- { "read": true, "trade": true, "manage": false }
    is_active BOOLEAN DEFAULT TRUE,
    created_at TIMESTAMPTZ DEFAULT NOW(),
    expires_at TIMESTAMPTZ
);
SELECT hyperfeed_adopt('api_keys');

CREATE INDEX IF NOT EXISTS api_keys_key_hash_idx ON api_keys (key_hash);
CREATE INDEX IF NOT EXISTS api_keys_user_id_idx ON api_keys (user_id);

-- Wider than the document's 20 and 10: 1000000BABYDOGE/USDT:USDT and option symbols do not fit, and
-- the width of a hypertable's column cannot change once chunks are compressed.
CREATE TABLE symbols (
    symbol VARCHAR(64) NOT NULL,
    exchange VARCHAR(50) NOT NULL,
    base_currency VARCHAR(32) NOT NULL,
    quote_currency VARCHAR(32) NOT NULL,
    status VARCHAR(20) DEFAULT 'active',  -- active, inactive, deprecated
    min_order_size DECIMAL,
    max_order_size DECIMAL,
    price_precision INTEGER,
    quantity_precision INTEGER,
    PRIMARY KEY (symbol, exchange)
);
SELECT hyperfeed_adopt('symbols');

CREATE INDEX IF NOT EXISTS symbols_exchange_idx ON symbols (exchange);
CREATE INDEX IF NOT EXISTS symbols_status_idx ON symbols (status);

CREATE TABLE strategies (
    id SERIAL PRIMARY KEY,
    user_id INTEGER REFERENCES users(id),
    name VARCHAR(100) NOT NULL,
    description TEXT,
    config JSONB,  -- Strategy-specific configuration
    is_active BOOLEAN DEFAULT TRUE,
    created_at TIMESTAMPTZ DEFAULT NOW(),
    updated_at TIMESTAMPTZ DEFAULT NOW()
);
SELECT hyperfeed_adopt('strategies');

CREATE INDEX IF NOT EXISTS strategies_user_id_idx ON strategies (user_id);
CREATE INDEX IF NOT EXISTS strategies_is_active_idx ON strategies (is_active);

CREATE TABLE strategy_versions (
    id SERIAL PRIMARY KEY,
    strategy_id INTEGER REFERENCES strategies(id),
    version_number INTEGER NOT NULL,
    config JSONB,
    created_at TIMESTAMPTZ DEFAULT NOW(),
    created_by INTEGER REFERENCES users(id)
);
SELECT hyperfeed_adopt('strategy_versions');

CREATE INDEX IF NOT EXISTS strategy_versions_strategy_id_idx ON strategy_versions (strategy_id);
CREATE UNIQUE INDEX IF NOT EXISTS strategy_versions_strategy_id_version_number_idx
    ON strategy_versions (strategy_id, version_number);
