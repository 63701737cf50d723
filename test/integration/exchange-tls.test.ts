/** Sockets and requests to an exchange: its certificate is verified, whatever the environment says. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { openConnection } from '../../src/ingest/ws-connection.ts';
import { exchangeIds, loadAdapter } from '../../src/ingest/registry.ts';
import { createAuthority } from '../support/certificates.ts';
import { environmentOf, hyperfeed, simulate } from '../support/daemon.ts';

test('every adapter asks for TLS', async () => {
  for (const id of exchangeIds) {
    const { urls } = await loadAdapter(id);
    expect([id, new URL(urls.ws).protocol, new URL(urls.rest).protocol]).toEqual([
      id,
      'wss:',
      'https:',
    ]);
  }
});

test('a certificate that nobody vouches for', async () => {
  const authority = await createAuthority();
  const { certFile, keyFile } = await authority.issue({ name: 'exchange', for: 'DNS:localhost' });
  const server = createServer({ cert: await readFile(certFile), key: await readFile(keyFile) });
  const sockets = new WebSocketServer({ server });
  let opened = 0;
  sockets.on('connection', () => opened++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;

  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  onTestFinished(() => void delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']);
  const connection = openConnection({
    url: `wss://localhost:${port}`,
    openTimeoutMs: 5_000,
    silenceTimeoutMs: 5_000,
    messagesPerSecond: 1,
    onFrame: () => undefined,
  });
  expect(await connection.opened).toBe(false);
  const { reason, detail } = await connection.closed;
  expect(reason).toBe('socket_error');
  expect(detail).toMatch(/unable to verify|self-signed/);
  expect(opened).toBe(0);
});

test('verification cannot be switched off; plaintext to another machine is refused at the start', async () => {
  const simulation = await simulate();
  const settings = {
    ...simulation.settings,
    'database.url': 'postgres://localhost/x',
    'redis.enabled': false,
  };
  const run = async (env: Record<string, string>) => {
    const child = hyperfeed(['run'], { env: { ...environmentOf(settings), ...env } });
    const { code } = await child.ended;
    return { code, said: [...child.stdout, ...child.stderr].join('\n') };
  };
  expect(await run({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toEqual({
    code: 2,
    said: expect.stringContaining('TLS is always verified') as string,
  });
  const far = { HYPERFEED__CONNECTION__WS_URL: 'ws://exchange.example.org?key=canary-secret' };
  const refused = await run(far);
  expect(refused).toEqual({
    code: 2,
    said: expect.stringContaining('connection.wsUrl: plaintext to another machine') as string,
  });
  expect(refused.said).not.toContain('canary');
  expect(await run({ ALLOW_INSECURE: 'maybe' })).toEqual({
    code: 2,
    said: expect.stringContaining('env ALLOW_INSECURE: must be 1 or 0') as string,
  });
});
