/**
 * Which connections may go without TLS: those that stay on this machine, and those for which
 * somebody said so (`allowInsecure`, ALLOW_INSECURE=1). Pure.
 */
import { UsageError } from './errors.ts';

/** Older versions are refused, also where the defaults of Node are lowered. */
export const MIN_TLS_VERSION = 'TLSv1.2';

export interface Link {
  /** Of the configuration: what messages name instead of the address. */
  readonly key: string;
  /** Empty, or a path: a Unix socket. */
  readonly hosts: readonly string[];
  readonly allowInsecure: boolean;
}

/** True when what is sent to this host leaves the machine by no cable. */
export function isLocal(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (name === '' || name.startsWith('/')) return true;
  if (name === 'localhost' || name === '::1') return true;
  return /^(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}

/**
 * Throws UsageError `insecure_connection` for a link that needs TLS and has none, or none that is
 * verified. Returns true when it is let through although it leaves the machine.
 */
export function checkInsecure(link: Link, what: string, instead: string): boolean {
  if (link.hosts.every(isLocal)) return false;
  if (link.allowInsecure) return true;
  const [section = ''] = link.key.split('.');
  throw new UsageError(
    'insecure_connection',
    `${link.key}: ${what} to another machine. Use ${instead}, or set ${section}.allowInsecure: true (ALLOW_INSECURE=1) where the network between is yours alone`,
  );
}

/** A base URL may carry a query, such as the key of a gateway: it stays behind the path. */
export function withPath(base: string, path: string): string {
  const [root = '', query] = base.split('?', 2);
  const url = root.replace(/\/$/, '') + path;
  return query ? `${url}${path.includes('?') ? '&' : '?'}${query}` : url;
}

/** What may be kept of a URL that begins with this base: nothing that only the base has. */
export function withoutKeys(url: string, base: string): string {
  if (!/[?@]/.test(base)) return url;
  const kept = new URL(url);
  for (const name of new URL(base).searchParams.keys()) kept.searchParams.delete(name);
  kept.username = '';
  kept.password = '';
  return kept.href;
}

/** The addresses that a configuration gives an exchange. Throws as `checkInsecure`. */
export function checkExchangeUrls(connection: {
  readonly wsUrl?: string | undefined;
  readonly restUrl?: string | undefined;
  readonly allowInsecure: boolean;
}): void {
  for (const name of ['wsUrl', 'restUrl'] as const) {
    const url = connection[name];
    if (url) checkExchangeUrl(url, `connection.${name}`, connection.allowInsecure);
  }
}

/** Of an exchange: `wss:` and `https:`, always verified. Returns and throws as `checkInsecure`. */
export function checkExchangeUrl(
  url: string,
  key: 'connection.wsUrl' | 'connection.restUrl',
  allowInsecure: boolean,
): boolean {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'wss:' || protocol === 'https:') return false;
  const secure = protocol === 'ws:' ? 'wss://' : 'https://';
  return checkInsecure({ key, hosts: [hostname], allowInsecure }, 'plaintext', secure);
}
