/** `hyperfeed status` against daemons that run, fail, are gone or are none. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import {
  freshDatabase,
  hyperfeed,
  runHyperfeed,
  simulate,
  startDaemon,
  type TestDaemon,
} from '../support/daemon.ts';
import { freePort, redisDatabase, waitFor } from '../support/stack.ts';

const urlOf = ({ daemon }: TestDaemon) => `http://127.0.0.1:${daemon.address()?.port}`;

async function running() {
  const simulation = await simulate();
  const database = await freshDatabase();
  const settings = { ...simulation.settings, 'database.url': database.url };
  const tested = await startDaemon({ ...settings, 'redis.url': await redisDatabase() });
  await simulation.subscribed(6);
  const health = () => tested.page<{ status: string }>('/health');
  await waitFor(async () => (await health()).status === 'ok', { what: 'health' });
  return { simulation, tested, url: urlOf(tested), health };
}

test('a daemon that is well: every stream and part; exit 0', async () => {
  const { url } = await running();
  const { code, stdout, stderr } = await runHyperfeed(['status', '--url', url]);
  expect([code, stderr]).toEqual([0, []]);
  const screen = stdout.join('\n');
  expect(stdout[0]).toMatch(new RegExp(`^binance: OK   version \\S+, up .+, ${url}$`));
  expect(screen).toMatch(/^BTC\/USDT +trades +live +\d+ m?s +\d+ +ids$/m);
  expect(screen).toMatch(/^ETH\/USDT +order_book +live .*sequence$/m);
  expect(screen).toMatch(/^exchange +\d of \d connections$/m);
  expect(screen).toMatch(
    /^database +PostgreSQL 17\S* with TimescaleDB \S+ \(\w+\), storing, active$/m,
  );
  expect(screen).toMatch(/^spool +\d/m);
  expect(screen).toMatch(/^redis +connected, [1-9]\d* keys/m);
  expect(screen).toMatch(/^gaps +none open$/m);

  const json = await runHyperfeed(['status', '--url', url, '--json']);
  expect(json.code).toBe(0);
  expect(JSON.parse(json.stdout.join())).toMatchObject({ status: 'ok', exchange: 'binance' });
});

test('a daemon without its exchange: why, what to do; exit 1', async () => {
  const { simulation, url, health } = await running();
  simulation.refuseConnections(true);
  simulation.dropConnections();
  await waitFor(async () => (await health()).status !== 'ok', { what: 'the cut to be seen' });
  const { code, stdout } = await runHyperfeed(['status', '--url', url]);
  expect([code, stdout[0]]).toEqual([1, expect.stringMatching(/^binance: (DEGRADED|FAILING)/)]);
  expect(stdout[1]).toMatch(/^ {2}\w+ \(feed, no_stream\): not connected for \d+ s$/);
  expect(stdout[2]).toMatch(/^ {4}-> can that machine reach the exchange/);
});

test('--watch: messages per second, and on when the daemon stops and comes back', async () => {
  const { tested, url } = await running();
  const watching = hyperfeed(['status', '--url', url, '--watch']);
  const says = (pattern: RegExp, what: string) =>
    waitFor(() => watching.stdout.some((line) => pattern.test(line)), { what, timeoutMs: 20_000 });
  await says(/^BTC\/USDT +trades +live .* \d+\.\d +ids$/, 'a rate');
  await tested.daemon.stop();
  await says(/^no daemon answers at .*ECONNREFUSED/, 'the daemon to be missed');
  watching.kill('SIGINT');
  expect(await watching.ended).toEqual({ code: 1, signal: null });
  expect(watching.stderr).toEqual([]);
});

test('nobody there: where it looked and what to do; exit 1; as JSON too', async () => {
  const port = await freePort();
  const settings = { env: { HYPERFEED__HTTP__PORT: String(port) } };
  const { code, stdout, stderr } = await runHyperfeed(['status'], settings);
  expect([code, stdout]).toEqual([1, []]);
  expect(stderr.join()).toContain(
    `no daemon answers at http://127.0.0.1:${port} (connect ECONNREFUSED`,
  );
  expect(stderr.join()).toContain('--url');
  const json = await runHyperfeed(['status', '--json'], settings);
  expect([json.code, json.stdout]).toEqual([1, []]);
  expect(JSON.parse(json.stderr.join())).toMatchObject({ error: { code: 'unreachable' } });
});

test('another server, or one that wants a token: says so', async () => {
  const server = createServer((request, response) => {
    response.writeHead(request.headers.authorization === undefined ? 401 : 200);
    response.end('welcome');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const without = await runHyperfeed(['status', '--url', url]);
  expect([without.code, without.stderr.join()]).toEqual([1, expect.stringContaining('HTTP_TOKEN')]);
  const env = { HTTP_TOKEN: 'a-token-of-some-length' };
  const other = await runHyperfeed(['status', '--url', url], { env });
  expect([other.code, other.stderr.join()]).toEqual([1, expect.stringContaining('no hyperfeed')]);
});
