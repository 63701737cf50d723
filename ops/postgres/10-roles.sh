#!/bin/sh
# Run by the image once, when the volume of the database is empty: the roles that log in.
set -e
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv database_password DATABASE_PASSWORD
\getenv grafana_password GRAFANA_DATABASE_PASSWORD

-- What dashboards may read is granted to this one by the migrations, which cannot create roles here.
CREATE ROLE hyperfeed_reader NOLOGIN;

CREATE ROLE hyperfeed LOGIN PASSWORD :'database_password';
CREATE ROLE grafana LOGIN PASSWORD :'grafana_password' IN ROLE hyperfeed_reader;
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE grafana SET statement_timeout = '30s';

CREATE DATABASE hyperfeed OWNER hyperfeed;
-- Of the simulated exchange, whose rows must never be taken for real ones.
CREATE DATABASE hyperfeed_demo OWNER hyperfeed;
REVOKE CONNECT ON DATABASE hyperfeed, hyperfeed_demo FROM PUBLIC;

\connect hyperfeed
CREATE EXTENSION IF NOT EXISTS timescaledb;
\connect hyperfeed_demo
CREATE EXTENSION IF NOT EXISTS timescaledb;
SQL
