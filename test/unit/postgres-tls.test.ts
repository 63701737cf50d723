import { describe, expect, test } from 'vitest';
import { postgresConnection } from '../../src/writers/tls.ts';

const FAR = 'postgres://u:p@db.example.org/x';
const files = new Map([
  ['/ca.pem', 'CA'],
  ['/me.pem', 'CERT'],
  ['/me.key', 'KEY'],
]);
function connect(url: string, allowInsecure = false) {
  return postgresConnection(url, {
    allowInsecure,
    readFile(path) {
      const text = files.get(path);
      if (text === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' });
      return text;
    },
  });
}

describe('verified', () => {
  test('verify-full: chain and name, by the given authority alone', () => {
    expect(connect(`${FAR}?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3`)).toEqual({
      connectionString: `${FAR}?connect_timeout=3`,
      ssl: { ca: 'CA', rejectUnauthorized: true, minVersion: 'TLSv1.2' },
      exposed: false,
    });
  });

  test('verify-full with the authorities that Node trusts', () => {
    expect(connect(`${FAR}?sslmode=verify-full&sslrootcert=system`)).toEqual({
      connectionString: FAR,
      ssl: { rejectUnauthorized: true, minVersion: 'TLSv1.2' },
      exposed: false,
    });
  });

  test.each(['verify-ca', 'require'])('%s with an authority: the chain, not the name', (mode) => {
    const { ssl } = connect(`${FAR}?sslmode=${mode}&sslrootcert=/ca.pem`);
    expect(ssl).toMatchObject({ ca: 'CA', rejectUnauthorized: true });
    expect(ssl && ssl.checkServerIdentity?.('h', {} as never)).toBeUndefined();
    expect(ssl && 'checkServerIdentity' in ssl).toBe(true);
  });

  test('a certificate of our own, and a newer TLS', () => {
    const more = '&sslcert=/me.pem&sslkey=/me.key&ssl_min_protocol_version=TLSv1.3&sslsni=1';
    expect(connect(`${FAR}?sslmode=verify-full&sslrootcert=/ca.pem${more}`)).toMatchObject({
      connectionString: FAR,
      ssl: { cert: 'CERT', key: 'KEY', minVersion: 'TLSv1.3' },
    });
  });
});

describe('not verified', () => {
  test.each([
    'postgres://localhost/x',
    'postgres://127.0.0.1:5433/x?sslmode=disable',
    'postgres://[::1]/x',
    'postgres:///x?host=/run/postgresql',
    'postgres://%2Frun%2Fpostgresql/x?sslmode=require',
    'postgres://db.example.org/x?host=127.0.0.1',
  ])('%s: plaintext that stays here', (url) => {
    expect(connect(url)).toMatchObject({ ssl: false, exposed: false });
  });

  test('require without an authority: on this machine', () => {
    expect(connect('postgres://localhost/x?sslmode=require')).toMatchObject({
      ssl: { rejectUnauthorized: false, minVersion: 'TLSv1.2' },
      exposed: false,
    });
  });

  test.each([
    [FAR, 'plaintext'],
    [`${FAR}?sslmode=disable`, 'plaintext'],
    [`${FAR}?sslmode=require`, 'unverified'],
    ['postgres://localhost/x?host=db.example.org', 'plaintext'],
  ] as const)('%s: refused, or %s where it is allowed', (url, exposed) => {
    expect(() => connect(url)).toThrow(
      /^database.url: .* to another machine. Use sslmode=verify-full with sslrootcert=FILE, or sslrootcert=system, or set database.allowInsecure/,
    );
    expect(connect(url, true)).toMatchObject({ exposed });
  });

  test('no host is localhost, whatever PGHOST says', () => {
    expect(connect('postgres:///x')).toMatchObject({
      connectionString: 'postgres://localhost/x',
      ssl: false,
    });
  });
});

// Also with allowInsecure: what was asked for is not to be had.
test.each([
  ['sslmode=prefer', 'sslmode=prefer may end in plaintext'],
  ['sslmode=allow', 'sslmode=allow may end in plaintext'],
  ['sslmode=no-verify', "this sslmode is none of libpq's"],
  ['sslmode=verify-full', 'sslmode=verify-full does not say whom to trust: add sslrootcert'],
  ['sslmode=verify-ca', 'sslmode=verify-ca does not say whom to trust'],
  ['sslmode=verify-ca&sslrootcert=system', 'sslrootcert=system takes sslmode=verify-full'],
  ['sslmode=require&sslrootcert=system', 'sslrootcert=system takes sslmode=verify-full'],
  ['sslrootcert=/ca.pem', 'sslrootcert without sslmode'],
  ['sslmode=verify-full&sslrootcert=/no.pem', 'sslrootcert: /no.pem cannot be read (ENOENT)'],
  ['sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/me.pem', 'sslcert and sslkey go together'],
  ['sslmode=disable&sslmode=verify-full', 'sslmode is given twice'],
  ['ssl=true', 'ssl is not supported'],
  ['ssl=no-verify', 'ssl is not supported'],
  ['sslmode=disable&uselibpqcompat=true', 'uselibpqcompat is not supported'],
  ['sslmode=disable&sslpassword=canary', 'sslpassword is not supported'],
  ['sslmode=disable&sslcrl=/x', 'sslcrl is not supported'],
  ['channel_binding=require', 'channel_binding is not supported'],
  [
    'sslmode=verify-full&sslrootcert=/ca.pem&ssl_min_protocol_version=TLSv1',
    'ssl_min_protocol_version must be TLSv1.2 or TLSv1.3',
  ],
])('?%s: %s', (query, problem) => {
  for (const host of ['db.example.org', 'localhost']) {
    expect(() => connect(`postgres://u:canary@${host}/x?${query}`, true)).toThrow(problem);
    expect(() => connect(`postgres://u:canary@${host}/x?${query}`, true)).not.toThrow('canary');
  }
});
