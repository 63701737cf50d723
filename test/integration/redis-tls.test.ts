/** TLS to a real Valkey: one server, one behind Sentinels, a cluster. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type Authority, type Certificate, createAuthority } from '../support/certificates.ts';
import { startLatest, tradeOf } from '../support/latest.ts';
import { waitFor } from '../support/stack.ts';
import { startValkey } from '../support/valkey.ts';

const ON_LOCALHOST = 'DNS:localhost,IP:127.0.0.1';

async function tlsSettings(authority: Authority, certificate: Certificate, clients = 'no') {
  return {
    settings: [
      `tls-cert-file ${certificate.certFile}`,
      `tls-key-file ${certificate.keyFile}`,
      `tls-ca-cert-file ${authority.caFile}`,
      `tls-auth-clients ${clients}`,
      'tls-replication yes',
      'tls-cluster yes',
    ],
    clientOptions: {
      tls: {
        ca: await readFile(authority.caFile),
        cert: await readFile(certificate.certFile),
        key: await readFile(certificate.keyFile),
        // Of the test itself, which has to set the server up.
        rejectUnauthorized: false,
      },
    },
  };
}

/** What is wrong afterwards. */
const writes = async (redis: Parameters<typeof startLatest>[0]) => {
  const started = await startLatest(redis);
  started.latest.push(tradeOf('BTC/USDT', 1));
  await waitFor(() => started.latest.report().status['connected'], { what: 'the connection' });
  await waitFor(() => started.latest.report().status['unwritten'] === 0, { what: 'the price' });
  return started.latest.report().reasons;
};

/** The code with which it is refused; nothing is ever connected. */
const refusal = async (redis: Parameters<typeof startLatest>[0]) => {
  const { latest, log, stop } = await startLatest(redis);
  const code = () => /"err":\{[^}]*"code":"(\w+)"/.exec(log.join(''))?.[1];
  const found = await waitFor(code, { what: 'the refusal' });
  expect(latest.report().status['connected']).toBe(false);
  expect(log.join('')).not.toContain('canary-secret');
  await stop();
  return found;
};

test('the right authority and name, or no connection', async () => {
  const authority = await createAuthority();
  const stranger = await createAuthority();
  const certificate = await authority.issue({ name: 'server', for: 'DNS:localhost' });
  const { port, client } = await startValkey(await tlsSettings(authority, certificate));
  const at = (host: string) => `rediss://:canary-secret@${host}:${port}`;
  await client.config('SET', 'requirepass', 'canary-secret');
  const { caFile } = authority;

  expect(await writes({ url: at('localhost'), caFile })).toEqual([]);
  expect(await refusal({ url: at('127.0.0.1'), caFile })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  const other = { caFile: stranger.caFile };
  const unknown = /^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN)$/;
  expect(await refusal({ url: at('localhost'), ...other })).toMatch(unknown);
  expect(await refusal({ url: at('localhost') })).toMatch(unknown);
});

test('an expired certificate', async () => {
  const authority = await createAuthority();
  const expired = await authority.issue({ name: 'old', for: ON_LOCALHOST, expired: true });
  const { port } = await startValkey(await tlsSettings(authority, expired));
  const settings = { url: `rediss://localhost:${port}`, caFile: authority.caFile };
  expect(await refusal(settings)).toBe('CERT_HAS_EXPIRED');
});

test('a certificate of our own, where the server asks for one', async () => {
  const authority = await createAuthority();
  const certificate = await authority.issue({ name: 'server', for: ON_LOCALHOST });
  const { port } = await startValkey(await tlsSettings(authority, certificate, 'yes'));
  const mine = await authority.issue({ name: 'hyperfeed', for: 'DNS:hyperfeed' });
  expect(
    await writes({
      url: `rediss://localhost:${port}`,
      caFile: authority.caFile,
      ...mine,
    }),
  ).toEqual([]);
});

test('behind a Sentinel, and in a cluster', { timeout: 30_000 }, async () => {
  const authority = await createAuthority();
  const certificate = await authority.issue({ name: 'server', for: ON_LOCALHOST });
  const common = await tlsSettings(authority, certificate);
  const primary = await startValkey(common);
  const sentinel = await startValkey({
    ...common,
    sentinel: true,
    settings: [...common.settings, `sentinel monitor prices 127.0.0.1 ${primary.port} 1`],
  });
  const { caFile } = authority;
  expect(
    await writes({ url: `rediss+sentinel://localhost:${sentinel.port}/prices`, caFile }),
  ).toEqual([]);
  expect(await primary.client.exists('price:binance:BTC/USDT')).toBe(1);

  const node = await startValkey({
    ...common,
    settings: [...common.settings, 'cluster-enabled yes', 'cluster-announce-ip 127.0.0.1'],
  });
  await node.client.cluster('ADDSLOTSRANGE', 0, 16_383);
  await waitFor(async () => (await node.client.cluster('INFO')).includes('cluster_state:ok'), {
    what: 'the cluster',
  });
  expect(await writes({ url: `rediss+cluster://localhost:${node.port}`, caFile })).toEqual([]);
  expect(await node.client.exists('price:binance:BTC/USDT')).toBe(1);
});

test(
  'what a Sentinel or a cluster names is under the same rules',
  { timeout: 20_000 },
  async () => {
    // An address that nobody has: were it dialed, the refusal would be another one.
    const elsewhere = '203.0.113.1';
    const sentinel = await startValkey({
      sentinel: true,
      settings: [`sentinel monitor prices ${elsewhere} 6379 1`],
    });
    const behind = await startLatest({
      url: `redis+sentinel://127.0.0.1:${sentinel.port}/prices`,
    });
    const said = (log: readonly string[]) =>
      log.some((line) => line.includes('plaintext to another'));
    await waitFor(() => said(behind.log), { what: 'the refusal' });

    const node = await startValkey({
      settings: ['cluster-enabled yes', `cluster-announce-ip ${elsewhere}`],
    });
    await node.client.cluster('ADDSLOTSRANGE', 0, 16_383);
    const { log, latest } = await startLatest({ url: `redis+cluster://127.0.0.1:${node.port}` });
    await waitFor(() => said(log), { what: 'the refusal' });
    expect(latest.report().status['connected']).toBe(false);
  },
);
