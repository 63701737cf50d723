/**
 * Where Redis is, in one of three forms, each of them with `rediss` for TLS:
 *
 *   redis://user:password@host:6379/3
 *   redis+sentinel://user:password@host:26379,host2:26379/name-of-the-primary/3
 *   redis+cluster://user:password@host:7000,host2:7001
 *
 * The credentials are those of the servers that hold the keys. Pure.
 */

export interface RedisAddress {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  readonly tls: boolean;
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly username?: string;
  readonly password?: string;
  readonly database: number;
  /** As the Sentinels know the primary. */
  readonly primary?: string;
}

const FORM = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/([^/?#\s]*)(?:\/([^?#\s]*))?$/;
const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]@,\s]+)(?::(\d{1,5}))?$/i;
const DATABASE = /^\d{1,5}$/;
const DEFAULT_PORTS = { single: 6379, sentinel: 26_379, cluster: 6379 } as const;

/** What is wrong with it, without a part of it; undefined: nothing. */
export function redisUrlProblem(url: string): string | undefined {
  try {
    parseRedisUrl(url);
    return undefined;
  } catch (error) {
    return error instanceof RangeError ? error.message : 'has a % that encodes nothing';
  }
}

/** Throws RangeError for what `redisUrlProblem` tells, and URIError for a bad escape. */
export function parseRedisUrl(url: string): RedisAddress {
  if (url.includes('?')) throw new RangeError('takes no ?query');
  const [, scheme, form, authority = '', path = ''] = FORM.exec(url) ?? [];
  if (scheme === undefined) {
    throw new RangeError(
      'must be a URL that starts with redis:// or rediss://, or with +sentinel or +cluster before the colon',
    );
  }
  const kind = form === 'sentinel' || form === 'cluster' ? form : 'single';
  const at = authority.lastIndexOf('@');
  const [username, password] = credentialsOf(authority.slice(0, Math.max(0, at)));
  const hosts = authority
    .slice(at + 1)
    .split(',')
    .map((text) => hostOf(text, DEFAULT_PORTS[kind]));
  if (kind === 'single' && hosts.length > 1) {
    throw new RangeError('names several hosts: that takes redis+sentinel:// or redis+cluster://');
  }
  const parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  const primary = kind === 'sentinel' ? parts.shift() : undefined;
  if (kind === 'sentinel' && !primary) {
    throw new RangeError('must name the primary after the hosts, as the Sentinels do');
  }
  const [database = '0', ...rest] = parts;
  if (rest.length > 0 || !DATABASE.test(database)) {
    throw new RangeError('must end in the number of a database, or in nothing');
  }
  if (kind === 'cluster' && Number(database) !== 0) {
    throw new RangeError('picks a database: a cluster has number 0 alone');
  }
  return {
    kind,
    tls: scheme === 'rediss',
    hosts,
    ...(username && { username }),
    ...(password && { password }),
    database: Number(database),
    ...(primary && { primary }),
  };
}

function credentialsOf(text: string): readonly (string | undefined)[] {
  const colon = text.indexOf(':');
  const [user, password] =
    colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  return [user, password].map((part) => (part === '' ? undefined : decodeURIComponent(part)));
}

function hostOf(text: string, defaultPort: number) {
  const [, host, port] = HOST.exec(text) ?? [];
  const number = port === undefined ? defaultPort : Number(port);
  if (host === undefined || number < 1 || number > 65_535) {
    throw new RangeError('must name a host, or host:port; several with commas between them');
  }
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: number };
}
