-- Sections 2.3 and 2.4 of docs/schema-document.md. The daemon writes none of these rows.

CREATE TABLE risk_limits (
    id SERIAL PRIMARY KEY,
    user_id INTEGER REFERENCES users(id),
    max_position_value DECIMAL,
    max_daily_loss DECIMAL,
    max_drawdown DECIMAL,
    max_orders_per_hour INTEGER,
    updated_at TIMESTAMPTZ DEFAULT NOW()
);
SELECT hyperfeed_adopt('risk_limits');

CREATE INDEX IF NOT EXISTS risk_limits_user_id_idx ON risk_limits (user_id);

CREATE TABLE risk_events (
    id SERIAL PRIMARY KEY,
    user_id INTEGER REFERENCES users(id),
    event_type VARCHAR(50) NOT NULL,  -- limit_breach, compliance_violation, etc.
    severity VARCHAR(20) NOT NULL,    -- info, warning, critical
    description TEXT,
    details JSONB,
    triggered_at TIMESTAMPTZ DEFAULT NOW(),
    resolved_at TIMESTAMPTZ,
    resolved_by INTEGER REFERENCES users(id)
);
SELECT hyperfeed_adopt('risk_events');

CREATE INDEX IF NOT EXISTS risk_events_user_id_triggered_at_idx ON risk_events (user_id, triggered_at DESC);
CREATE INDEX IF NOT EXISTS risk_events_event_type_idx ON risk_events (event_type);
CREATE INDEX IF NOT EXISTS risk_events_severity_idx ON risk_events (severity);

CREATE TABLE exchange_connections (
    id SERIAL PRIMARY KEY,
    user_id INTEGER REFERENCES users(id),
    exchange_name VARCHAR(50) NOT NULL,
    api_key_encrypted BYTEA NOT NULL,
    api_secret_encrypted BYTEA NOT NULL,
    is_active BOOLEAN DEFAULT TRUE,
    created_at TIMESTAMPTZ DEFAULT NOW(),
    updated_at TIMESTAMPTZ DEFAULT NOW()
);
SELECT hyperfeed_adopt('exchange_connections');

CREATE INDEX IF NOT EXISTS exchange_connections_user_id_idx ON exchange_connections (user_id);
CREATE INDEX IF NOT EXISTS exchange_connections_exchange_name_idx ON exchange_connections (exchange_name);

CREATE TABLE system_settings (
    id SERIAL PRIMARY KEY,
    setting_key VARCHAR(100) UNIQUE NOT NULL,
    setting_value JSONB,
    description TEXT,
    updated_at TIMESTAMPTZ DEFAULT NOW()
);
SELECT hyperfeed_adopt('system_settings');

CREATE INDEX IF NOT EXISTS system_settings_setting_key_idx ON system_settings (setting_key);

-- Empty by now.
DROP SCHEMA IF EXISTS hyperfeed_adopted;
