/** `backfill` when something goes wrong: interrupted, refused, cut off, asked for what is not there. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createPatientRest } from '../../src/ingest/patient-rest.ts';
import { createRest } from '../../src/ingest/rest.ts';
import { runHyperfeed, storedTrades } from '../support/daemon.ts';
import { BTC, startPast, summaryOf } from '../support/history.ts';
import { silent } from '../support/schema.ts';
import { waitFor } from '../support/stack.ts';

test('kill -9, then Ctrl-C, then again: goes on where it was, each row once', async () => {
  const { simulation, database, backfill, startBackfill } = await startPast(5_000);
  const stored = async () => (await storedTrades(database)).length;
  const flags = ['--trades', '--no-candles'];

  const killed = startBackfill(...flags);
  await waitFor(async () => (await stored()) > 2_000, { what: 'some trades' });
  killed.kill('SIGKILL');
  expect(await killed.ended).toEqual({ code: null, signal: 'SIGKILL' });
  const before = await stored();

  const stopped = startBackfill(...flags);
  await waitFor(async () => (await stored()) > before + 2_000, { what: 'some more' });
  stopped.kill('SIGINT');
  expect(await stopped.ended).toEqual({ code: 1, signal: null });
  const { complete, of } = summaryOf(stopped.stdout);
  expect(complete).toBe(false);
  expect(of('trades')).toMatchObject({ stored: (await stored()) - before });

  const requests = simulation.counters().restRequests;
  const left = await stored();
  const last = await backfill(...flags);
  expect(last.code).toBe(0);
  const all = last.of('trades')?.asked ?? 0;
  expect(all).toBeGreaterThan(24_000);
  expect(last.of('trades')).toMatchObject({ known: left, stored: all - left, missing: 0 });
  expect(await stored()).toBe(all);
  // To find the ids, and then only what was not there.
  const pages = Math.ceil((all - left) / 1_000);
  expect(simulation.counters().restRequests - requests).toBeLessThan(pages + 20);
});

test('429, 500 and cut connections are waited out', async () => {
  const { simulation, startBackfill, database } = await startPast(3_000);
  simulation.failRequests(2, 500);
  const running = startBackfill('--trades');
  await waitFor(() => simulation.counters().restRequests > 6, { what: 'some requests' });
  simulation.failRequests(1, 429, 1);
  const asked = simulation.counters().restRequests;
  await waitFor(() => simulation.counters().restRequests > asked + 1, { what: 'it to go on' });
  simulation.refuseConnections(true);
  simulation.dropConnections();
  await waitFor(() => running.stderr.some((line) => line.includes('asking again')), {
    what: 'it to say so',
  });
  simulation.refuseConnections(false);
  expect(await running.ended).toEqual({ code: 0, signal: null });
  const { of } = summaryOf(running.stdout);
  expect(of('candles')?.stored).toBeGreaterThan(2_900);
  expect(of('trades')).toMatchObject({ missing: 0, stored: (await storedTrades(database)).length });
});

test('an exchange that never answers well: an error that says so, after some attempts', async () => {
  let requests = 0;
  const server = createServer((_, response) => {
    requests++;
    response.writeHead(503).end('down for maintenance');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const rest = createPatientRest(createRest({ baseUrl, weightPerMinute: 6_000 }), silent, 2);
  const asking = rest.get({ path: '/klines', query: {}, weight: 1 }, AbortSignal.timeout(30_000));
  await expect(asking).rejects.toMatchObject({
    code: 'rest_failed',
    message: expect.stringMatching(/asked 2 times.*503 down for maintenance/) as string,
  });
  expect(requests).toBe(2);
});

test('what cannot be had is refused before anything is asked, with what can be', async () => {
  const { env, backfill } = await startPast(1);
  const run = (exchange: string, ...flags: string[]) =>
    runHyperfeed(['backfill', '-e', exchange, '--from', '1d ago', ...flags], { env });
  const kraken = await run('kraken', '--trades');
  expect([kraken.code, kraken.stderr.join()]).toEqual([
    2,
    expect.stringMatching(
      /kraken.*not show them by id.*provenance of trades: ids.*for its candles/,
    ),
  ]);
  const okx = await run('okx', '--trades');
  expect([okx.code, okx.stderr.join()]).toEqual([2, expect.stringContaining('trades: none')]);
  const unknown = await backfill('--symbols', 'BTC/USDX');
  expect([unknown.code, unknown.stderr.join()]).toEqual([
    2,
    expect.stringContaining('nearest: BTC/USDT'),
  ]);
  for (const [flags, said] of [
    [['--from', 'yesterday'], '--from: yesterday is no time'],
    [['--from', '2026-02-30'], '2026-02-30 is no time'],
    [['--from', '1h ago', '--to', '2h ago'], 'is not before'],
    [['--from', '1m ago', '--to', 'now'], 'younger than two minutes'],
    [['--no-candles'], 'leaves nothing to do'],
  ] as const) {
    const { code, stderr } = await backfill(...flags);
    expect([code, stderr.join()]).toEqual([2, expect.stringContaining(said)]);
  }
});

test('two at a time of one exchange: the second says so; a database that is not there as well', async () => {
  const { env, startBackfill, backfill, database } = await startPast(5_000);
  const first = startBackfill('--trades');
  await waitFor(() => first.stdout.some((line) => line.includes(`trades ${BTC}`)), {
    what: 'the first to be at work',
  });
  const second = await backfill();
  expect([second.code, second.stderr.join()]).toEqual([
    1,
    expect.stringContaining('another backfill of binance runs'),
  ]);
  expect(await first.ended).toEqual({ code: 0, signal: null });
  expect((await storedTrades(database)).length).toBeGreaterThan(24_000);
  const nowhere = { ...env, DATABASE_URL: 'postgres://127.0.0.1:1/x' };
  const third = await runHyperfeed(['backfill', '--from', '1h ago'], { env: nowhere });
  expect([third.code, third.stderr.join()]).toEqual([1, expect.stringContaining('ECONNREFUSED')]);
});
