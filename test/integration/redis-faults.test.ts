/** A dead, frozen, emptied or hostile Redis. Each test has a server of its own. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { codeOf } from '../../src/errors.ts';
import { run } from '../../src/embedded/run.ts';
import { createThrowawayFolder } from '../../src/embedded/throwaway.ts';
import { usedMemory } from '../support/daemon.ts';
import { pushRound, redisClient, startLatest, tradeOf } from '../support/latest.ts';
import { ownRedis } from '../support/own-servers.ts';
import { freePort, waitFor } from '../support/stack.ts';

const SYMBOLS = Array.from({ length: 250 }, (_, i) => `S${i}/USDT`);

/** Passes everything on; from `stall` on it keeps what comes on the connections that are open. */
async function stallingProxy(target: number) {
  const open = new Set<{ client: Socket; server: Socket; kept: Buffer[] | undefined }>();
  const stalledEnd = Promise.withResolvers<string>();
  const proxy = createTcpServer((client) => {
    const server = connect(target, '127.0.0.1');
    const link = { client, server, kept: undefined as Buffer[] | undefined };
    open.add(link);
    client.on('data', (data) => (link.kept ? link.kept.push(data) : server.write(data)));
    server.on('data', (data) => client.write(data));
    client.on('error', (error) => stalledEnd.resolve(codeOf(error) ?? error.message));
    client.on('end', () => stalledEnd.resolve('end'));
    server.on('error', () => {});
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(() => {
    for (const { client, server } of open) for (const socket of [client, server]) socket.destroy();
    proxy.close();
  });
  const stalled = () => [...open].filter(({ kept }) => kept !== undefined);
  return {
    port: (proxy.address() as AddressInfo).port,
    stalledEnd: stalledEnd.promise,
    stall: () => open.forEach((link) => (link.kept = [])),
    deliverStalled: () =>
      Promise.all(
        stalled().map(async ({ server, kept = [] }) => {
          server.write(Buffer.concat(kept));
          await once(server, 'data');
        }),
      ),
  };
}

/** How many of the 500 keys hold round `n`. */
async function keysAt(client: Redis, n: number): Promise<number> {
  const pipeline = client.pipeline();
  for (const symbol of SYMBOLS) {
    pipeline.hget(`price:binance:${symbol}`, 'timestamp');
    pipeline.hget(`orderbook:binance:${symbol}`, 'timestamp');
  }
  const expected = String(Math.floor(tradeOf('', n).time / 1000));
  const replies = (await pipeline.exec()) ?? [];
  return replies.filter(([, timestamp]) => timestamp === expected).length;
}

test('frozen: 200,000 updates of 500 keys cost no memory, and the newest arrive on waking up', async () => {
  const server = await ownRedis();
  const client = redisClient(server.url);
  const { latest, log } = await startLatest({ url: server.url });
  let round = 0;
  const next = () => pushRound(latest, SYMBOLS, ++round);
  next();
  await waitFor(async () => (await keysAt(client, 1)) === 500, { what: 'the first round' });
  const before = usedMemory();

  server.pause();
  try {
    while (round < 401) {
      next();
      await sleep(15);
    }
    expect(usedMemory() - before).toBeLessThan(15 * 1024 * 1024);
    // It went through several connections.
    expect(log.some((line) => line.includes('redis does not answer'))).toBe(true);
    expect(latest.report().reasons.map(({ code }) => code)).toContain('redis_down');
  } finally {
    server.resume();
  }
  await waitFor(async () => (await keysAt(client, round)) === 500, {
    what: 'the newest values',
    timeoutMs: 2_500,
  });
  await waitFor(() => latest.report().status['unwritten'] === 0, { what: 'all to be written' });
  // Past the moment at which everything is written once more: nothing old came after it.
  await sleep(1_500);
  expect(await keysAt(client, round)).toBe(500);
  expect(latest.report().reasons).toEqual([]);
});

test('started again, empty: every key is there again, though no update came', async () => {
  const server = await ownRedis();
  const client = redisClient(server.url);
  const { latest } = await startLatest({ url: server.url });
  for (const symbol of SYMBOLS) latest.push(tradeOf(symbol, 1));
  await waitFor(async () => (await client.dbsize()) === 250, { what: 'the keys' });
  await server.kill();
  await server.restart();
  await waitFor(() => client.dbsize().catch(() => 0), { what: 'a key', timeoutMs: 2_500 });
  await waitFor(() => latest.report().status['unwritten'] === 0, { what: 'all to be written' });
  expect(await client.dbsize()).toBe(250);
});

test('what was sent to a stalled Redis and runs late does not stay', async () => {
  const server = await ownRedis();
  const client = redisClient(server.url);
  const proxy = await stallingProxy(server.port);
  const { latest } = await startLatest({ url: `redis://127.0.0.1:${proxy.port}` });
  const price = () => client.hget('price:binance:BTC/USDT', 'price');
  await waitFor(() => latest.report().status['connected'], { what: 'the connection' });
  proxy.stall();
  latest.push(tradeOf('BTC/USDT', 1));
  // A reset, not an end: the kernel must not go on delivering.
  expect(await proxy.stalledEnd).toBe('ECONNRESET');
  latest.push(tradeOf('BTC/USDT', 2));
  await waitFor(async () => (await price()) === '1002.10000000', { what: 'the newer price' });

  await proxy.deliverStalled();
  await waitFor(async () => (await price()) === '1001.10000000', { what: 'the late, older price' });
  await waitFor(async () => (await price()) === '1002.10000000', {
    what: 'the newer price, again',
    timeoutMs: 2_000,
  });
});

test(
  'not there at the start: degraded, later failing, well once it comes',
  { timeout: 30_000 },
  async () => {
    const port = await freePort();
    const { latest } = await startLatest({ url: `redis://127.0.0.1:${port}` });
    latest.push(tradeOf('BTC/USDT', 1));
    const codes = () => latest.report().reasons.map(({ code, severity }) => `${code} ${severity}`);
    expect(codes()).toEqual(['redis_down degraded']);
    await waitFor(() => codes().includes('redis_lag failing'), { what: 'lag', timeoutMs: 12_000 });

    const server = await ownRedis(port);
    const client = redisClient(server.url);
    await waitFor(() => client.exists('price:binance:BTC/USDT'), {
      what: 'the key',
      timeoutMs: 2_500,
    });
    expect(codes()).toEqual([]);
  },
);

test('an expired key does not come back with a new connection', async () => {
  const server = await ownRedis();
  const client = redisClient(server.url);
  const { latest } = await startLatest({ url: server.url, expireAfterMs: 300 });
  latest.push(tradeOf('OLD/USDT', 1));
  await waitFor(() => client.exists('price:binance:OLD/USDT'), { what: 'the key' });
  await waitFor(async () => !(await client.exists('price:binance:OLD/USDT')), { what: 'its end' });
  await server.restart();
  latest.push(tradeOf('NEW/USDT', 1));
  await waitFor(() => client.exists('price:binance:NEW/USDT').catch(() => 0), {
    what: 'the new key',
  });
  expect(await client.exists('price:binance:OLD/USDT')).toBe(0);
});

test('no password in the log, be it wrong or the values refused', async () => {
  const server = await ownRedis();
  const admin = redisClient(server.url);
  await admin.config('SET', 'requirepass', 'right');
  const url = `redis://:canary-secret@127.0.0.1:${server.port}`;
  const { latest, log } = await startLatest({ url });
  latest.push({ ...tradeOf('BTC/USDT', 1), price: '4242.4242' });
  await waitFor(() => log.some((line) => line.includes('WRONGPASS')), { what: 'the refusal' });
  expect(log.join('')).not.toContain('canary-secret');
  expect(JSON.stringify(latest.report())).not.toContain('canary-secret');

  // It keeps trying: the password may be put right on the side of Redis.
  await admin.config('SET', 'requirepass', 'canary-secret');
  await waitFor(() => latest.report().status['connected'], { what: 'the connection' });
  await admin.config('SET', 'maxmemory', '1');
  latest.push({ ...tradeOf('BTC/USDT', 2), price: '4242.4242' });
  await waitFor(() => log.some((line) => line.includes('OOM')), { what: 'the refusal' });
  expect(log.join('')).not.toContain('canary-secret');
  expect(log.join('')).not.toContain('4242.4242');
});

test('stop does not wait for a frozen Redis', async () => {
  const server = await ownRedis();
  const { latest, stop, log } = await startLatest({ url: server.url });
  await waitFor(() => latest.report().status['connected'], { what: 'the connection' });
  server.pause();
  latest.push(tradeOf('BTC/USDT', 1));
  const startedAt = performance.now();
  await stop();
  expect(performance.now() - startedAt).toBeLessThan(900);
  expect(log.at(-1)).toContain('latest values not written');
  server.resume();
});

test('TLS is verified: a certificate that nobody vouches for is refused', async () => {
  const folder = await createThrowawayFolder();
  onTestFinished(() => folder.remove());
  const [key, cert] = [join(folder.path, 'key.pem'), join(folder.path, 'cert.pem')];
  await run(
    // prettier-ignore
    ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert],
  );
  const impostor = createServer({ key: await readFile(key), cert: await readFile(cert) });
  let bytes = 0;
  impostor.on('secureConnection', (socket) => socket.on('data', (data) => (bytes += data.length)));
  impostor.on('tlsClientError', () => {});
  impostor.listen(0, '127.0.0.1');
  await once(impostor, 'listening');
  onTestFinished(() => void impostor.close());
  const { port } = impostor.address() as AddressInfo;

  const { log, latest } = await startLatest({ url: `rediss://:canary-secret@localhost:${port}` });
  await waitFor(() => log.some((line) => line.includes('DEPTH_ZERO_SELF_SIGNED_CERT')), {
    what: 'the refusal',
  });
  expect(bytes).toBe(0);
  expect(latest.report().status['connected']).toBe(false);
});
