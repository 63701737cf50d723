/** The token of the HTTP server, and its bounds, over real sockets. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createHealth } from '../../src/health.ts';
import { createHttpServer } from '../../src/http-server.ts';
import { createLogger } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics.ts';
import { waitFor } from '../support/stack.ts';

const TOKEN = 'canary-token-of-32-letters-or-so';

async function serve(token?: string) {
  const metrics = createMetrics('binance');
  const log: string[] = [];
  const destination = { write: (line: string) => void log.push(line) };
  const logger = createLogger({ level: 'debug', destination });
  const health = createHealth({ exchange: 'binance', version: '1', metrics, logger });
  const server = createHttpServer({ health, metrics, logger, host: '127.0.0.1', port: 0, token });
  await server.start(new AbortController().signal);
  onTestFinished(() => server.stop(AbortSignal.timeout(100)));
  const port = server.address()?.port ?? 0;
  const get = (path: string, authorization?: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      headers: authorization === undefined ? {} : { authorization },
    });
  return { port, get, log };
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

test('without one configured, nobody is asked for it', async () => {
  const { get } = await serve();
  for (const path of ['/', '/health', '/metrics', '/status']) {
    expect((await get(path)).status).toBe(200);
    expect((await get(path, 'Bearer whatever')).status).toBe(200);
  }
});

test('with one, only liveness and readiness are open', async () => {
  const { get, log } = await serve(TOKEN);
  for (const path of ['/', '/health', '/metrics', '/status', '/nothing', '/health?x', '/livez/']) {
    const refused = await get(path);
    expect([path, refused.status]).toEqual([path, 401]);
    expect(refused.headers.get('www-authenticate')).toBe(
      'Bearer realm="hyperfeed", Basic realm="hyperfeed"',
    );
    expect(await refused.text()).toBe('a token, please\n');
    const answer = await get(path, `Bearer ${TOKEN}`);
    expect([path, answer.status]).toEqual([path, /nothing|livez/.test(path) ? 404 : 200]);
    expect(await answer.text()).not.toContain(TOKEN);
  }
  expect((await get('/livez')).status).toBe(200);
  expect((await get('/readyz?x')).status).toBe(200);
  expect(log.join('')).not.toContain(TOKEN);
});

test.each([
  ['as programs send it', `bearer   ${TOKEN}`, 200],
  ['as browsers send it', basic(`anybody:${TOKEN}`), 200],
  ['as Basic without a user', basic(`:${TOKEN}`), 200],
  ['shorter', `Bearer ${TOKEN.slice(0, -1)}`, 401],
  ['longer', `Bearer ${TOKEN}x`, 401],
  ['in another case', `Bearer ${TOKEN.toUpperCase()}`, 401],
  ['nothing', 'Bearer ', 401],
  ['no scheme', TOKEN, 401],
  ['another scheme', `Digest ${TOKEN}`, 401],
  ['the user instead of the password', basic(`${TOKEN}:x`), 401],
  ['no Base64', 'Basic ***', 401],
])('%s', async (_, authorization, status) => {
  const { get } = await serve(TOKEN);
  expect((await get('/metrics', authorization)).status).toBe(status);
});

/** Everything that comes until the server closes. */
async function whatComes(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (data) => (text += data.toString()));
  socket.on('error', () => {});
  await once(socket, 'close');
  return text;
}

test('64 connections, no more', async () => {
  const { port, get } = await serve();
  const sockets = Array.from({ length: 64 }, () => connect(port, '127.0.0.1'));
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  const answer = (socket: Socket) => {
    socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    return once(socket, 'data').then(([data]) => String(data));
  };
  // Each of them is served: none is only waiting to be accepted.
  for (const socket of sockets) expect(await answer(socket)).toContain('200 OK');
  expect(await whatComes(connect(port, '127.0.0.1'))).toBe('');
  sockets[0]?.destroy();
  await waitFor(
    () =>
      get('/livez').then(
        ({ ok }) => ok,
        () => false,
      ),
    { what: 'a free place' },
  );
});

test(
  'who does not finish a request, or sends another protocol, is cut off',
  { timeout: 20_000 },
  async () => {
    const { port } = await serve();
    const slow = connect(port, '127.0.0.1');
    slow.write('GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ');
    const wrong = connect(port, '127.0.0.1');
    wrong.write('\x16\x03\x01\x02\x00\x01\x00');
    const body = connect(port, '127.0.0.1');
    body.write('POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx');
    expect(await whatComes(wrong)).toContain('400 Bad Request');
    expect(await whatComes(body)).toContain('405 Method Not Allowed');
    expect(await whatComes(slow)).toContain('408 Request Timeout');
  },
);
