/** TLS to a real PostgreSQL: what is verified is spoken to, all else is refused before a password. */
import { readFile } from 'node:fs/promises';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { codeOf } from '../../src/errors.ts';
import { configSchema } from '../../src/config.ts';
import { withClient } from '../../src/schema/connect.ts';
import { clientConfig, close, openSession } from '../../src/writers/pg.ts';
import { type Authority, type Certificate, createAuthority } from '../support/certificates.ts';
import { prepareDaemon, simulate } from '../support/daemon.ts';
import { ownPostgres } from '../support/own-servers.ts';
import { silent } from '../support/schema.ts';
import { waitFor } from '../support/stack.ts';

/** Whether the server sends its authority along or not. */
const UNKNOWN_AUTHORITY = /^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN)$/;
const ON_LOCALHOST = 'DNS:localhost,IP:127.0.0.1';

/** A server that shows this certificate; `hba` are its rules for TCP. */
async function tlsServer(
  authority: Authority,
  certificate: Certificate,
  hba = 'hostssl all all all trust',
) {
  const server = await ownPostgres();
  const admin = new Client({ connectionString: server.url });
  await admin.connect();
  try {
    // By the server itself: it insists on the owner and the mode of its key.
    const put = async (file: string, from: string) => {
      const lines = (await readFile(from, 'utf8')).trimEnd().split('\n');
      const values = lines.map((line) => `('${line}')`).join(', ');
      await admin.query(`COPY (VALUES ${values}) TO PROGRAM 'cat > ${file} && chmod 600 ${file}'`);
    };
    await put('server.crt', certificate.certFile);
    await put('server.key', certificate.keyFile);
    await put('root.crt', authority.caFile);
    await admin.query(`COPY (VALUES ('${hba}')) TO PROGRAM 'cat > pg_hba.conf'`);
    for (const [name, value] of [
      ['ssl_cert_file', 'server.crt'],
      ['ssl_key_file', 'server.key'],
      ['ssl_ca_file', 'root.crt'],
      ['ssl', 'on'],
    ]) {
      await admin.query(`ALTER SYSTEM SET ${name} = '${value}'`);
    }
    await admin.query('SELECT pg_reload_conf()');
  } finally {
    await admin.end();
  }
  const url = (host: string, query: string) =>
    `postgres://postgres:canary-secret@${host}:${server.port}/postgres?${query}`;
  const speaksTls = async () =>
    !(await refusal(url('localhost', 'sslmode=require'))).includes('does not support SSL');
  await waitFor(speaksTls, { what: 'TLS' });
  return { url };
}

/** What pg_stat_ssl says of a session of the daemon's; rejects where there is none. */
async function connect(url: string): Promise<{ ssl: boolean; version: string }> {
  const { database } = configSchema.parse({ database: { url } });
  const { client } = await openSession(clientConfig(database, 'test'));
  try {
    const { rows } = await client.query(
      'SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    return rows[0] as { ssl: boolean; version: string };
  } finally {
    await close(client);
  }
}

const refusal = (url: string) =>
  connect(url).then(
    () => 'connected',
    (error: unknown) => codeOf(error) ?? String(error),
  );

test('verify-full: encrypted to the right server, refused to all others', async () => {
  const authority = await createAuthority();
  const stranger = await createAuthority();
  const { url } = await tlsServer(
    authority,
    await authority.issue({ name: 'server', for: 'DNS:localhost' }),
  );
  const full = `sslmode=verify-full&sslrootcert=${authority.caFile}`;

  expect(await connect(url('localhost', full))).toEqual({ ssl: true, version: 'TLSv1.3' });
  // The certificate is for another name.
  expect(await refusal(url('127.0.0.1', full))).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  expect((await connect(url('127.0.0.1', full.replace('full', 'ca')))).ssl).toBe(true);
  const other = `sslmode=verify-full&sslrootcert=${stranger.caFile}`;
  expect(await refusal(url('localhost', other))).toMatch(UNKNOWN_AUTHORITY);
  expect(await refusal(url('localhost', other.replace('full', 'ca')))).toMatch(UNKNOWN_AUTHORITY);
  expect(await refusal(url('localhost', 'sslmode=verify-full&sslrootcert=system'))).toMatch(
    UNKNOWN_AUTHORITY,
  );
  expect((await connect(url('localhost', 'sslmode=require'))).ssl).toBe(true);
  // hostssl: the server takes no plaintext.
  expect(await refusal(url('localhost', 'sslmode=disable'))).toBe('28000');
});

test('an expired certificate, and one that nobody signed', async () => {
  const authority = await createAuthority();
  const expired = await authority.issue({ name: 'expired', for: ON_LOCALHOST, expired: true });
  const old = await tlsServer(authority, expired);
  const full = `sslmode=verify-full&sslrootcert=${authority.caFile}`;
  expect(await refusal(old.url('localhost', full))).toBe('CERT_HAS_EXPIRED');
  const stranger = await createAuthority();
  const own = await tlsServer(authority, stranger.selfSigned);
  expect(await refusal(own.url('localhost', full))).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
});

test('a client certificate, where the server asks for one', async () => {
  const authority = await createAuthority();
  const certificate = await authority.issue({ name: 'server', for: ON_LOCALHOST });
  const { url } = await tlsServer(authority, certificate, 'hostssl all all all cert');
  const full = `sslmode=verify-full&sslrootcert=${authority.caFile}`;
  expect(await refusal(url('localhost', full))).toBe('28000');
  const mine = await authority.issue({ name: 'postgres', for: 'DNS:postgres' });
  const withOwn = `${full}&sslcert=${mine.certFile}&sslkey=${mine.keyFile}`;
  expect((await connect(url('localhost', withOwn))).ssl).toBe(true);
});

test('a server without TLS is not spoken to in plaintext instead', async () => {
  const authority = await createAuthority();
  const server = await ownPostgres();
  const url = `${server.url}?sslmode=verify-full&sslrootcert=${authority.caFile}`;
  expect(await refusal(url)).toContain('The server does not support SSL connections');
});

test('the daemon: migrations, rows and the mirror all go over TLS, and a refusal is told', async () => {
  const authority = await createAuthority();
  const { url } = await tlsServer(
    authority,
    await authority.issue({ name: 'server', for: 'DNS:localhost' }),
  );
  const simulation = await simulate();
  const full = `sslmode=verify-full&sslrootcert=${authority.caFile}`;
  const daemon = await prepareDaemon({
    ...simulation.settings,
    'database.url': url('localhost', full),
    'database.ownerUrl': url('localhost', full),
  });
  await daemon.start();
  await waitFor(() => daemon.value('rowsStored').then((n) => n > 0), {
    what: 'rows',
    timeoutMs: 30_000,
  });
  expect(daemon.log.filter(({ level }) => level === 'error')).toEqual([]);

  const logger = silent;
  const wrong = configSchema.parse({ database: { url: url('127.0.0.1', full) } }).database;
  await expect(
    withClient({ clientConfig: clientConfig(wrong, 'x'), logger }, async () => undefined),
  ).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  const refused = await prepareDaemon({
    ...simulation.settings,
    'database.url': url('127.0.0.1', full),
  });
  await refused.start();
  const told = () => refused.logged('storing interrupted').at(-1);
  await waitFor(told, { what: 'the refusal' });
  expect(JSON.stringify(told())).toContain("does not match certificate's altnames");
  expect(JSON.stringify(refused.log)).not.toContain('canary-secret');
});
