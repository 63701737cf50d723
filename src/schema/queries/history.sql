SELECT name, sha256, applied_at
  FROM hyperfeed_migrations
  LEFT JOIN hyperfeed_migration_checksums USING (name)
 ORDER BY id;
