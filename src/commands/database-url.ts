import { UsageError } from '../errors.ts';

/** Throws UsageError `no_database`: for a command, nothing can be brought along. */
export function requireDatabaseUrl(url: string | undefined): string {
  if (url) return url;
  throw new UsageError(
    'no_database',
    'database.url is not set; set DATABASE_URL (hyperfeed up prints that of the server that it started)',
  );
}
