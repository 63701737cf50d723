-- The library sets its license when it is loaded, so an extension without one is not loaded.
SELECT split_part(current_setting('server_version'), ' ', 1) AS postgres,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb,
       current_setting('timescaledb.license', true) AS license;
