/** How commands reach the database: under the same rules of TLS as the daemon; and read its times. */
import { type HostsConfig, hostsConfig } from '../postgres-hosts.ts';
import { postgresConnection } from '../writers/tls.ts';

export function commandSession(
  databaseUrl: string,
  allowInsecure: boolean,
  applicationName: string,
): HostsConfig {
  return hostsConfig(databaseUrl, (url) => {
    const { connectionString, ssl } = postgresConnection(url, { allowInsecure });
    return { connectionString, ssl, application_name: applicationName };
  });
}

/** SQL that makes a column of time text in ISO 8601, UTC, to the millisecond. */
export function isoTime(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}
