/**
 * Several hosts in one PostgreSQL URL, as libpq has them: postgres://user@one:5432,two:5432/name. The
 * one that takes writes is asked for before each session, so that a failover needs no new address.
 */
import { Socket } from 'node:net';
import { Client, type ClientConfig } from 'pg';
import { codeOf, HyperfeedError, messageOf } from './errors.ts';

/** As node-postgres takes it, of the first host, with those of the others beside it. */
export interface HostsConfig extends ClientConfig {
  readonly otherHosts?: readonly ClientConfig[];
}

/** Where the configuration says nothing. */
const PATIENCE_MS = 10_000;
const PARTS = /^(\w+:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/s;

/** A URL for each host, in their order. What is no URL stays as it is. */
export function urlsByHost(url: string): string[] {
  const [, before, hosts, after] = PARTS.exec(url) ?? [];
  return hosts === undefined ? [url] : hosts.split(',').map((host) => `${before}${host}${after}`);
}

export function hostsConfig(url: string, configOf: (url: string) => ClientConfig): HostsConfig {
  const [first, ...otherHosts] = urlsByHost(url).map(configOf);
  return otherHosts.length > 0 ? { ...first, otherHosts } : { ...first };
}

/**
 * The host that takes writes; where there is one host only, that. Throws `no_writable_host` when none
 * does: during a failover it may take a while until one is promoted.
 */
export async function writableHost({ otherHosts, ...first }: HostsConfig): Promise<ClientConfig> {
  if (!otherHosts) return first;
  const hosts = [first, ...otherHosts];
  try {
    return await Promise.any(hosts.map(ifWritable));
  } catch (error) {
    // Addresses belong in no status page: hosts go by their place in the URL.
    const problems = (error as AggregateError).errors.map(
      (problem, index) => `host ${index + 1}: ${codeOf(problem) ?? messageOf(problem)}`,
    );
    throw new HyperfeedError(
      'no_writable_host',
      `no host takes writes (${problems.join(', ')}): waiting for one to be promoted`,
      { cause: error },
    );
  }
}

async function ifWritable(config: ClientConfig): Promise<ClientConfig> {
  const { connectionTimeoutMillis: patienceMs = PATIENCE_MS } = config;
  // A host that takes connections and says nothing must not hold up the others, nor us.
  const stream = () => new Socket({ signal: AbortSignal.timeout(2 * patienceMs) });
  const client = new Client({ ...config, stream, query_timeout: patienceMs });
  // A connection that breaks later must not end the process; the query tells.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ read_only: boolean }>(
      `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only`,
    );
    if (rows[0]?.read_only) throw new HyperfeedError('standby', 'takes no writes');
    return config;
  } finally {
    // Not waited for: it may hang as long as the link does.
    void client.end().catch(() => undefined);
  }
}
