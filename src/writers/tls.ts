/**
 * What sslmode and its companions in a PostgreSQL URL mean, as libpq has it. node-postgres reads them
 * differently, so it gets to see none of them.
 *
 *   sslmode      encrypted  chain verified  name verified
 *   (none)       no                                        to this machine, or with allowInsecure
 *   disable      no                                        the same
 *   allow        -                                         refused: may end in plaintext
 *   prefer       -                                         refused: may end in plaintext
 *   require      yes        no              no             the same as plaintext: anybody may answer
 *   + sslrootcert yes       yes             no             as verify-ca
 *   verify-ca    yes        yes             no
 *   verify-full  yes        yes             yes
 *
 * sslrootcert is a file, or `system` for the authorities that Node trusts, with verify-full only.
 */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { codeOf, UsageError } from '../errors.ts';
import { checkInsecure, MIN_TLS_VERSION } from '../transport.ts';

export interface PostgresConnection {
  /** Without any ssl parameter. */
  readonly connectionString: string;
  /** Never undefined: then node-postgres would look at PGSSLMODE. */
  readonly ssl: false | ConnectionOptions;
  /** It leaves the machine unencrypted, or encrypted to whoever answers. */
  readonly exposed: false | 'plaintext' | 'unverified';
}

export interface PostgresUrlOptions {
  readonly key?: 'database.url' | 'database.ownerUrl';
  readonly allowInsecure: boolean;
  /** Default: from disk, each time, so that a renewed certificate is taken with the next session. */
  readonly readFile?: (path: string) => string;
}

type Problem = (what: string) => UsageError;

const HONOURED = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'ssl_min_protocol_version'];
/** Whose absence changes nothing, at their harmless values. */
const HARMLESS: Readonly<Record<string, readonly string[]>> = {
  channel_binding: ['prefer', 'disable'],
  gssencmode: ['prefer', 'disable'],
  sslcompression: ['0'],
  sslnegotiation: ['postgres'],
  sslsni: ['1'],
};
/** Whatever else asks for something of this kind. */
const REFUSED = /^(ssl.*|channel_binding|gssencmode|requiressl|uselibpqcompat)$/;
const VERIFIED = 'sslmode=verify-full with sslrootcert=FILE, or sslrootcert=system';

/** Throws UsageError for what cannot be honoured, `insecure_connection` for what must not be. */
export function postgresConnection(url: string, options: PostgresUrlOptions): PostgresConnection {
  const { key = 'database.url', allowInsecure } = options;
  const readFile = options.readFile ?? ((path: string) => readFileSync(path, 'utf8'));
  const problem: Problem = (what) => new UsageError('config_invalid', `${key}: ${what}`);
  const parsed = new URL(url);
  const settings = takeSettings(parsed, problem);
  const hosts = hostsOf(parsed);
  const link = { key, hosts, allowInsecure };
  const mode = modeOf(settings, problem);
  const connectionString = parsed.href;
  // libpq, too, speaks no TLS over a Unix socket.
  if (mode === 'disable' || hosts.every((host) => host.startsWith('/'))) {
    const exposed = checkInsecure(link, 'plaintext', VERIFIED);
    return { connectionString, ssl: false, exposed: exposed && 'plaintext' };
  }
  const ssl: ConnectionOptions = {
    minVersion: minVersionOf(settings, problem),
    ...clientCertificate(settings, readFile, problem),
  };
  if (mode === 'require') {
    const exposed = checkInsecure(link, 'sslmode=require verifies nothing on its way', VERIFIED);
    return {
      connectionString,
      ssl: { ...ssl, rejectUnauthorized: false },
      exposed: exposed && 'unverified',
    };
  }
  const authorities = settings.get('sslrootcert');
  return {
    connectionString,
    ssl: {
      ...ssl,
      rejectUnauthorized: true,
      ...(authorities !== 'system' && { ca: read(readFile, 'sslrootcert', settings, problem) }),
      ...(mode === 'verify-ca' && { checkServerIdentity: () => undefined }),
    },
    exposed: false,
  };
}

/** Takes them out of the URL. */
function takeSettings(url: URL, problem: Problem): Map<string, string> {
  const settings = new Map<string, string>();
  const given = [...url.searchParams];
  for (const [name, value] of given) {
    if (!HONOURED.includes(name) && !REFUSED.test(name)) continue;
    url.searchParams.delete(name);
    if (HARMLESS[name]?.includes(value)) continue;
    if (!HONOURED.includes(name)) throw problem(`${name} is not supported; use ${VERIFIED}`);
    // A repeated one could be read as either.
    if (settings.has(name)) throw problem(`${name} is given twice`);
    settings.set(name, value);
  }
  return settings;
}

function modeOf(
  settings: ReadonlyMap<string, string>,
  problem: Problem,
): 'disable' | 'require' | 'verify-ca' | 'verify-full' {
  const mode = settings.get('sslmode');
  const authorities = settings.get('sslrootcert');
  // As libpq: authorities that everybody can get a certificate of vouch for nothing but a name.
  if (authorities === 'system' && mode !== 'verify-full') {
    throw problem('sslrootcert=system takes sslmode=verify-full');
  }
  switch (mode) {
    case undefined:
      if (settings.size === 0) return 'disable';
      throw problem(`${[...settings.keys()].join(', ')} without sslmode; use ${VERIFIED}`);
    case 'disable':
      return mode;
    case 'require':
      return authorities === undefined ? 'require' : 'verify-ca';
    case 'verify-ca':
    case 'verify-full':
      if (authorities !== undefined) return mode;
      throw problem(`sslmode=${mode} does not say whom to trust: add sslrootcert`);
    case 'allow':
    case 'prefer':
      throw problem(`sslmode=${mode} may end in plaintext; use ${VERIFIED}`);
    default:
      throw problem(`this sslmode is none of libpq's; use ${VERIFIED}`);
  }
}

function clientCertificate(
  settings: ReadonlyMap<string, string>,
  readFile: (path: string) => string,
  problem: Problem,
): ConnectionOptions {
  if (!settings.has('sslcert') && !settings.has('sslkey')) return {};
  if (!settings.has('sslcert') || !settings.has('sslkey')) {
    throw problem('sslcert and sslkey go together');
  }
  return {
    cert: read(readFile, 'sslcert', settings, problem),
    key: read(readFile, 'sslkey', settings, problem),
  };
}

function read(
  readFile: (path: string) => string,
  name: string,
  settings: ReadonlyMap<string, string>,
  problem: Problem,
): string {
  const path = settings.get(name) ?? '';
  try {
    return readFile(path);
  } catch (error) {
    throw problem(`${name}: ${path} cannot be read (${codeOf(error) ?? 'not a file'})`);
  }
}

function minVersionOf(
  settings: ReadonlyMap<string, string>,
  problem: Problem,
): 'TLSv1.2' | 'TLSv1.3' {
  const version = settings.get('ssl_min_protocol_version') ?? MIN_TLS_VERSION;
  if (version === 'TLSv1.2' || version === 'TLSv1.3') return version;
  throw problem(`ssl_min_protocol_version must be TLSv1.2 or TLSv1.3`);
}

/** As node-postgres finds it. Made explicit, because it would look at PGHOST otherwise. */
function hostsOf(url: URL): string[] {
  const given = url.searchParams.get('host') ?? decodeURIComponent(url.hostname);
  if (given === '') url.hostname = 'localhost';
  return (given || 'localhost').split(',');
}
