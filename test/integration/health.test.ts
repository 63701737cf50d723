import { request } from 'node:http';
import type { IncomingHttpHeaders, RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { createHealth } from '../../src/health.ts';
import type { PartReport } from '../../src/health.ts';
import { createHttpServer } from '../../src/http-server.ts';
import { createLogger } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics.ts';

const NEVER = new AbortController().signal;
const OK: PartReport = { ready: true, reasons: [], status: {} };
const PROMETHEUS =
  'application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2';

async function setup(options: { port?: number } = {}) {
  const metrics = createMetrics('binance');
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({ level: 'info', destination });
  const health = createHealth({ exchange: 'binance', version: '1.2.3', metrics, logger });
  const server = createHttpServer({
    health,
    metrics,
    logger,
    host: '127.0.0.1',
    port: options.port ?? 0,
  });
  await server.start(NEVER);
  onTestFinished(() => server.stop(AbortSignal.timeout(100)));
  const port = server.address()?.port ?? 0;
  const get = (path: string, more: RequestOptions & { body?: string } = {}) =>
    new Promise<{ status: number; headers: IncomingHttpHeaders; body: string }>(
      (resolve, reject) => {
        const sending = request(
          { host: '127.0.0.1', port, path, agent: false, ...more },
          (response) => {
            let body = '';
            response.on('data', (chunk: Buffer) => (body += chunk.toString()));
            response.on('end', () => {
              resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
            });
          },
        );
        sending.on('error', reject);
        sending.end(more.body);
      },
    );
  return { health, server, port, get, lines };
}

test('ready and healthy by its parts, at the time of the question', async () => {
  const { health, get } = await setup();
  let spool: PartReport = { ...OK, ready: false, status: { bytes: 5 } };
  health.register('spool', () => spool);
  health.register('redis', () => OK);

  expect(await get('/readyz')).toMatchObject({ status: 503 });
  expect(JSON.parse((await get('/readyz')).body)).toEqual({
    ready: false,
    checks: { spool: false, redis: true },
  });
  expect(await get('/livez')).toMatchObject({ status: 200, body: 'ok\n' });
  expect(JSON.parse((await get('/health')).body)).toEqual({
    status: 'ok',
    exchange: 'binance',
    version: '1.2.3',
    uptimeSeconds: expect.any(Number),
    reasons: [],
  });

  const reason = { code: 'pg_lag', severity: 'degraded', detail: 'reconnecting' } as const;
  spool = { ready: true, reasons: [reason], status: { bytes: 6 } };
  expect((await get('/readyz')).status).toBe(200);
  const degraded = await get('/health');
  expect(degraded.status).toBe(200);
  expect(JSON.parse(degraded.body)).toMatchObject({
    status: 'degraded',
    reasons: [{ part: 'spool', ...reason }],
  });
  spool = { ...spool, reasons: [reason, { ...reason, severity: 'failing' }] };
  expect(await get('/health')).toMatchObject({ status: 503 });
  expect(JSON.parse((await get('/status')).body)).toMatchObject({
    status: 'failing',
    parts: { spool: { ready: true, bytes: 6 }, redis: { ready: true } },
  });
});

test('Prometheus gets text at /health too, also when it fails; browsers and curl get JSON', async () => {
  const { health, get } = await setup();
  health.setDraining();
  const scrape = await get('/health', { headers: { accept: PROMETHEUS } });
  expect(scrape.status).toBe(200);
  expect(scrape.headers['content-type']).toContain('text/plain; version=0.0.4');
  expect(scrape.body).toContain('hyperfeed_health{exchange="binance"} 2');
  expect((await get('/metrics')).body).toContain('hyperfeed_health{exchange="binance"} 2');
  for (const accept of [
    '*/*',
    'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    'application/json, text/plain;q=0.5',
  ]) {
    const { status, headers } = await get('/health', { headers: { accept } });
    expect([status, headers['content-type']]).toEqual([503, 'application/json; charset=utf-8']);
  }
});

test('draining: not ready, not healthy, still alive', async () => {
  const { health, get } = await setup();
  health.register('spool', () => OK);
  expect((await get('/readyz')).status).toBe(200);
  health.setDraining();
  expect((await get('/readyz')).status).toBe(503);
  const { status, body } = await get('/health');
  expect(status).toBe(503);
  expect(body).toContain('"code":"draining"');
  expect((await get('/livez')).status).toBe(200);
});

test('a report that throws is a reason, and says no more than that', async () => {
  const { health, get, lines } = await setup();
  health.register('spool', () => {
    throw new TypeError('canary');
  });
  const { status, body } = await get('/health');
  expect(status).toBe(503);
  expect(body).toContain('report_failed');
  expect(body).not.toContain('canary');
  expect(lines.join('')).toContain('canary');
});

test('only GET and HEAD of what there is, without bodies', async () => {
  const { get } = await setup();
  const post = await get('/health', { method: 'POST', body: 'x' });
  expect([post.status, post.headers.allow]).toEqual([405, 'GET, HEAD']);
  expect((await get('/health', { method: 'DELETE' })).status).toBe(405);
  const body = await get('/health', { headers: { 'content-length': '1' }, body: 'x' });
  expect([body.status, body.headers.connection]).toEqual([413, 'close']);
  const head = await get('/health?verbose', { method: 'HEAD' });
  expect([head.status, head.body]).toEqual([200, '']);
  expect(Number(head.headers['content-length'])).toBeGreaterThan(50);
  for (const path of ['/nothing', '/health/', '/../etc/passwd', '/__proto__', '/constructor']) {
    expect((await get(path)).status).toBe(404);
  }
  const index = await get('/');
  expect(index.status).toBe(200);
  expect(index.body).toContain('/metrics');
  expect(index.headers).toMatchObject({ 'cache-control': 'no-store' });
  expect(Object.keys(index.headers)).not.toContain('access-control-allow-origin');
  expect(Object.keys(index.headers)).not.toContain('x-powered-by');
  expect((await get('/', { headers: { 'x-long': 'x'.repeat(9_000) } })).status).toBe(431);
});

test('stop lets the deadline cut what a slow client holds open', async () => {
  const { server, port, get } = await setup();
  expect((await get('/livez')).status).toBe(200);
  const slow = connect(port, '127.0.0.1');
  slow.on('error', () => {});
  slow.write('GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ');
  await sleep(50);
  const startedAt = performance.now();
  await server.stop(AbortSignal.timeout(100));
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  expect(server.address()).toBeUndefined();
  slow.destroy();
});

test('a port that is taken is named, with the key that changes it', async () => {
  const { port } = await setup();
  await expect(setup({ port })).rejects.toThrow(
    `port ${port} of 127.0.0.1 is taken by another process; choose another http.port`,
  );
});
