/** Connections to PostgreSQL that cannot hang: on neither side. */
import type { Socket } from 'node:net';
import { Client } from 'pg';
import type { Config } from '../config.ts';
import { HyperfeedError } from '../errors.ts';
import { type HostsConfig, hostsConfig, writableHost } from '../postgres-hosts.ts';
import { postgresConnection } from './tls.ts';

/**
 * In the startup packet, since no server timeout frees a COPY whose client has gone: only the
 * server's own TCP does, and it waits two hours unless told otherwise.
 */
const SESSION_OPTIONS = {
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '20000',
  // A role's default may have it off, and then a commit that was answered can be lost.
  synchronous_commit: 'on',
  lock_timeout: '5s',
  idle_in_transaction_session_timeout: '60s',
  // What a database or role has as its default must not change what statements mean or give.
  datestyle: 'ISO',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  standard_conforming_strings: 'on',
  default_transaction_isolation: 'read\\ committed',
};

export function clientConfig(database: Config['database'], applicationName: string): HostsConfig {
  if (!database.url) throw new HyperfeedError('no_database', 'database.url is not set');
  const options = Object.entries(SESSION_OPTIONS).map(([key, value]) => `-c ${key}=${value}`);
  return hostsConfig(database.url, (url) => {
    const { connectionString, ssl } = postgresConnection(url, database);
    return {
      connectionString,
      ssl,
      application_name: applicationName,
      connectionTimeoutMillis: database.connectTimeoutMs,
      keepAlive: true,
      options: options.join(' '),
    };
  });
}

export interface Session {
  readonly client: Client;
  /** Aborts, with the error, when the connection breaks. */
  readonly lost: AbortSignal;
}

export async function openSession(config: HostsConfig): Promise<Session> {
  const client = new Client(await writableHost(config));
  const lost = new AbortController();
  // Without a listener a broken idle connection would end the process.
  client.on('error', (error) => lost.abort(error));
  client.on('end', () => lost.abort(new HyperfeedError('ECONNRESET', 'connection ended')));
  await client.connect();
  return { client, lost: lost.signal };
}

/**
 * Runs `work`, and destroys the socket when it takes too long: node-postgres alone noticed a dead
 * link in the middle of a COPY after 15 minutes.
 */
export async function withDeadline<T>(
  client: Client,
  timeoutMs: number,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  const timer = setTimeout(() => {
    destroy(client, new HyperfeedError('ETIMEDOUT', `${what} took longer than ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}

/** Ends the connection without asking the server, which may not be there. */
export function destroy(client: Client, reason?: Error): void {
  const { connection } = client as Client & { connection?: { stream?: Socket } };
  connection?.stream?.destroy(reason);
}

/** Says goodbye, or lets go after a second. Never rejects. */
export async function close(client: Client): Promise<void> {
  await withDeadline(client, 1_000, 'closing', () => client.end()).catch(() => undefined);
}
