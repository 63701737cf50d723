/** The simulated exchange as a client sees it: a real WebSocket, real HTTP, a clock that the test holds. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import {
  startSimulatedExchange,
  type SimulatedExchange,
  type SimulatedExchangeOptions,
} from '../../src/sim/exchange.ts';
import type { JournalCandle, JournalEntry } from '../../src/sim/journal.ts';

const START = Date.UTC(2026, 0, 5, 12, 0, 30);
const BTC = 'BTC/USDT';

interface WireTrade {
  readonly t: number;
  readonly p: string;
  readonly q: string;
  readonly T: number;
  readonly m: boolean;
}
interface WireAggregate extends Omit<WireTrade, 't'> {
  readonly a: number;
  readonly f: number;
  readonly l: number;
}
interface WireKline {
  readonly k: Readonly<Record<string, string | number | boolean>> & { t: number; x: boolean };
}
type WireLevels = [price: string, amount: string][];
interface WireDepth {
  readonly U: number;
  readonly u: number;
  readonly b: WireLevels;
  readonly a: WireLevels;
}

/** Time stands still until `clock.now` is moved, and only bursts trade unless a rate is given. */
async function start(options: Partial<SimulatedExchangeOptions> = {}) {
  const clock = { now: START };
  const exchange = await startSimulatedExchange({
    seed: 42,
    symbols: [BTC, 'ETH/USDT'],
    tradesPerSecond: 0,
    clock: () => clock.now,
    ...options,
  });
  onTestFinished(() => exchange.stop());
  return { exchange, clock, ...exchange.controls };
}

async function connect(exchange: SimulatedExchange, target = '/stream') {
  const socket = new WebSocket(exchange.wsUrl + target, { perMessageDeflate: false });
  const frames: string[] = [];
  const ended: Promise<number> = new Promise((resolve) => {
    socket.on('close', resolve);
  });
  socket.on('message', (data) => frames.push((data as Buffer).toString()));
  socket.on('error', () => undefined); // `close` follows with 1006
  onTestFinished(() => socket.terminate());
  await once(socket, 'open');
  const request = async (message: object | string): Promise<unknown> => {
    const before = frames.length;
    socket.send(typeof message === 'string' ? message : JSON.stringify(message));
    await until(() => frames.slice(before).some((frame) => !frame.includes('"stream"')));
    return JSON.parse(frames.slice(before).find((frame) => !frame.includes('"stream"')) ?? '');
  };
  return {
    socket,
    frames,
    ended,
    request,
    subscribe: (...streams: string[]) => request({ method: 'SUBSCRIBE', params: streams, id: 1 }),
    /** Payloads of one stream so far, of a combined connection. */
    data: <T>(stream: string): T[] =>
      frames
        .map((frame) => JSON.parse(frame) as { stream?: string; data: T })
        .filter((frame) => frame.stream === stream)
        .map((frame) => frame.data),
  };
}

const until = (condition: () => boolean) =>
  vi.waitFor(() => expect(condition()).toBe(true), { timeout: 10_000, interval: 5 });

async function rest<T>(exchange: SimulatedExchange, pathAndQuery: string): Promise<T> {
  const response = await fetch(exchange.restUrl + pathAndQuery);
  return (await response.json()) as T;
}

async function firstTrades(seed: number): Promise<string[]> {
  const { exchange, burst } = await start({ seed });
  await burst('ETH/USDT', 100);
  const rows = await rest<{ price: string; qty: string }[]>(
    exchange,
    '/api/v3/trades?symbol=ETHUSDT&limit=100',
  );
  return rows.map(({ price, qty }) => `${price} ${qty}`);
}

/** 8 decimals on the wire: exact as an integer. */
const units = (text: string) => BigInt(text.replace('.', ''));
const sum = (values: readonly bigint[]) => values.reduce((total, value) => total + value, 0n);

describe('control messages', () => {
  test('are acknowledged, also for streams that do not exist', async () => {
    const { exchange } = await start();
    const client = await connect(exchange);
    expect(await client.subscribe('btcusdt@trade', 'nosuch@trade')).toEqual({
      result: null,
      id: 1,
    });
    const unsubscribe = { method: 'UNSUBSCRIBE', params: ['nosuch@trade'], id: 'x2' };
    expect(await client.request(unsubscribe)).toEqual({ result: null, id: 'x2' });
    const listed = await client.request({ method: 'LIST_SUBSCRIPTIONS', id: 3 });
    expect(listed).toEqual({ result: ['btcusdt@trade'], id: 3 });
  });

  test.each([
    ['{', 3],
    ['[1]', 2],
    ['{"id":1}', 2],
    ['{"method":"BUY","params":["a@b"],"id":1}', 2],
    ['{"method":"SUBSCRIBE","id":1}', 2],
    ['{"method":"SUBSCRIBE","params":[7],"id":1}', 2],
    ['{"method":"SUBSCRIBE","params":["a b"],"id":1}', 2],
    ['{"method":"SUBSCRIBE","params":["a@b"],"id":1.5}', 2],
  ])('that are malformed are refused: %s', async (message, code) => {
    const { exchange } = await start();
    const client = await connect(exchange);
    expect(await client.request(message)).toMatchObject({ code, msg: expect.any(String) });
  });

  test('a sixth message within a second ends the connection', async () => {
    const { exchange } = await start();
    const client = await connect(exchange);
    for (let id = 0; id < 6; id += 1)
      client.socket.send(`{"method":"LIST_SUBSCRIPTIONS","id":${id}}`);
    expect(await client.ended).toBe(1008);
    expect(client.frames).toHaveLength(5);
  });

  test('more than 1024 streams are refused', async () => {
    const { exchange, connections } = await start();
    const client = await connect(exchange);
    const names = Array.from({ length: 1025 }, (_, i) => `s${i}@trade`);
    expect(await client.subscribe(...names.slice(1))).toEqual({ result: null, id: 1 });
    expect(await client.subscribe(...names)).toMatchObject({ code: 2, id: 1 });
    expect(connections()[0]?.streams).toHaveLength(1024);
  });
});

describe('trades', () => {
  test('have consecutive ids, and REST tells them byte for byte alike', async () => {
    const { exchange, burst, tradeIds } = await start();
    const client = await connect(exchange, '/stream?streams=btcusdt@trade/btcusdt@aggTrade');
    const raw = await connect(exchange, '/ws/btcusdt@trade');
    const [, before] = tradeIds(BTC);
    await burst(BTC, 2000);
    await until(() => raw.frames.length === 2000);
    await until(() => client.data('btcusdt@trade').length === 2000);
    const trades = client.data<WireTrade>('btcusdt@trade');
    expect(trades.map(({ t }) => t)).toEqual(Array.from(trades, (_, i) => before + 1 + i));
    expect(raw.frames.map((frame): unknown => JSON.parse(frame))).toEqual(trades);

    const history = '/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId=';
    const first = await rest<Record<string, unknown>[]>(exchange, history + (before + 1));
    const second = await rest<Record<string, unknown>[]>(exchange, history + (before + 1001));
    expect(
      [...first, ...second].map((row) => [
        row['id'],
        row['price'],
        row['qty'],
        row['time'],
        row['isBuyerMaker'],
      ]),
    ).toEqual(trades.map(({ t, p, q, T, m }) => [t, p, q, T, m]));
    const [newest] = await rest<{ id: number }[]>(
      exchange,
      '/api/v3/trades?symbol=BTCUSDT&limit=1',
    );
    expect(newest?.id).toBe(tradeIds(BTC)[1]);
  });

  test('aggregates are the sums of their fills, and alike in REST', async () => {
    const { exchange, burst } = await start();
    const client = await connect(exchange, '/stream?streams=btcusdt@trade/btcusdt@aggTrade');
    await burst(BTC, 401);
    await until(() => client.data('btcusdt@trade').length === 401);
    const trades = new Map(
      client.data<WireTrade>('btcusdt@trade').map((trade) => [trade.t, trade]),
    );
    const aggregates = client.data<WireAggregate>('btcusdt@aggTrade');
    for (const aggregate of aggregates.slice(1)) {
      const fills = Array.from({ length: aggregate.l - aggregate.f + 1 }, (_, i) =>
        trades.get(aggregate.f + i),
      );
      expect(sum(fills.map((fill) => units(fill?.q ?? '')))).toBe(units(aggregate.q));
      for (const fill of fills) expect(fill).toMatchObject({ p: aggregate.p, m: aggregate.m });
    }
    const query = `/api/v3/aggTrades?symbol=BTCUSDT&fromId=${aggregates[0]?.a}&limit=1000`;
    const rows = await rest<object[]>(exchange, query);
    expect(rows.length).toBeGreaterThan(100);
    expect(aggregates).toEqual(rows.map((row): unknown => expect.objectContaining(row)));
    const byTime = `/api/v3/aggTrades?symbol=BTCUSDT&startTime=${START}&limit=1000`;
    expect(await rest(exchange, byTime)).toEqual(rows);
  });

  test('the same seed makes the same trades, another one others', async () => {
    expect(await firstTrades(1)).toEqual(await firstTrades(1));
    expect(await firstTrades(2)).not.toEqual(await firstTrades(1));
  });

  test('come at the rate that is asked for', async () => {
    const { clock, counters } = await start({ tradesPerSecond: 100, arrivals: 'steady' });
    clock.now += 1000;
    // An order of up to three fills comes when all of it is due, on each of two markets.
    await until(() => counters().trades >= 96);
    expect(counters().trades).toBeLessThanOrEqual(100);
  });
});

test('each kline closes exactly once, with what its trades add up to, and so does REST', async () => {
  const { exchange, clock, burst, counters } = await start({ historyCandles: 3 });
  const client = await connect(exchange, '/stream?streams=btcusdt@trade/btcusdt@kline_1m');
  const klines = () => client.data<WireKline>('btcusdt@kline_1m');
  clock.now = START + 30_000; // the minute in which we came closes with what we did not see
  await until(() => counters().candles === 2);
  await burst(BTC, 300);
  clock.now += 2000;
  await until(() => klines().some(({ k }) => !k.x && k['n'] === 300));
  await burst(BTC, 50);
  clock.now += 118_000; // closes it and a minute without trades
  await until(() => klines().filter(({ k }) => k.x).length === 3);

  const minute = START + 30_000;
  const closed = klines().filter(({ k }) => k.x);
  expect(closed.map(({ k }) => k.t)).toEqual([minute - 60_000, minute, minute + 60_000]);
  const trades = client.data<WireTrade>('btcusdt@trade');
  const buys = trades.filter(({ m }) => !m);
  const prices = trades.map(({ p }) => units(p)).toSorted((x, y) => Number(x - y));
  const quote = (all: readonly WireTrade[]) => sum(all.map(({ p, q }) => units(p) * units(q)));
  const k: Partial<WireKline['k']> = closed[1]?.k ?? {};
  expect(k).toMatchObject({
    T: minute + 59_999,
    f: trades[0]?.t,
    L: trades.at(-1)?.t,
    o: trades[0]?.p,
    c: trades.at(-1)?.p,
    n: 350,
  });
  expect(units(String(k['h']))).toBe(prices.at(-1));
  expect(units(String(k['l']))).toBe(prices[0]);
  expect(units(String(k['v']))).toBe(sum(trades.map(({ q }) => units(q))));
  expect(units(String(k['V']))).toBe(sum(buys.map(({ q }) => units(q))));
  expect(units(String(k['q'])) * 10n ** 8n).toBe(quote(trades));
  expect(units(String(k['Q'])) * 10n ** 8n).toBe(quote(buys));
  const last = trades.at(-1)?.p;
  expect(closed[2]?.k).toMatchObject({ o: last, h: last, l: last, c: last, n: 0, f: -1, L: -1 });
  expect(closed[2]?.k['v']).toBe('0.00000000');

  const rows = await rest<unknown[][]>(
    exchange,
    `/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=${minute - 60_000}&endTime=${minute + 60_000}`,
  );
  expect(rows).toEqual(
    closed.map(({ k: c }) => [
      ...['t', 'o', 'h', 'l', 'c', 'v', 'T', 'q', 'n', 'V', 'Q'].map((x) => c[x]),
      '0',
    ]),
  );
  const all = await rest<number[][]>(
    exchange,
    '/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000',
  );
  expect(all).toHaveLength(3 + 4); // backdated ones, those above, and the open one
  expect(all.slice(0, 3).map((row) => row[8])).toEqual([5, 5, 5]);
});

test('snapshot and diffs make the true book, at every speed', async () => {
  const { exchange, clock, burst } = await start();
  const client = await connect(exchange, '/stream?streams=btcusdt@depth@100ms/btcusdt@depth');
  const snapshot = () =>
    rest<{ lastUpdateId: number; bids: WireLevels; asks: WireLevels }>(
      exchange,
      '/api/v3/depth?symbol=BTCUSDT&limit=5000',
    );
  const diffs = (stream: string) => client.data<WireDepth>(stream);
  const step = async () => {
    const before = diffs('btcusdt@depth@100ms').length;
    await burst(BTC, 5);
    clock.now += 100;
    await until(() => diffs('btcusdt@depth@100ms').length > before);
  };
  for (let i = 0; i < 5; i += 1) await step();
  await burst(BTC, 40); // so that the snapshot lies within the next diff
  const seed = await snapshot();
  for (let i = 0; i < 25; i += 1) await step();
  clock.now = Math.ceil(clock.now / 1000) * 1000; // both streams publish now
  const final = await (async () => {
    await until(() => diffs('btcusdt@depth').at(-1)?.u === diffs('btcusdt@depth@100ms').at(-1)?.u);
    return snapshot();
  })();

  for (const stream of ['btcusdt@depth@100ms', 'btcusdt@depth']) {
    const book = { b: new Map(seed.bids), a: new Map(seed.asks) };
    const all = diffs(stream);
    let last = (all[0]?.U ?? 0) - 1;
    let applied = 0;
    expect(all.find(({ u }) => u > seed.lastUpdateId)?.U).toBeLessThanOrEqual(seed.lastUpdateId);
    for (const diff of all) {
      expect(diff.U).toBe(last + 1);
      last = diff.u;
      if (diff.u <= seed.lastUpdateId) continue;
      applied += 1;
      for (const side of ['b', 'a'] as const) {
        for (const [price, amount] of diff[side]) {
          if (amount === '0.00000000') book[side].delete(price);
          else book[side].set(price, amount);
        }
      }
      const bestBid = [...book.b.keys()].map(units).reduce((x, y) => (x > y ? x : y));
      const bestAsk = [...book.a.keys()].map(units).reduce((x, y) => (x < y ? x : y));
      expect(bestBid).toBeLessThan(bestAsk);
    }
    expect(applied).toBeGreaterThan(1);
    expect(last).toBe(final.lastUpdateId);
    expect(book.b).toEqual(new Map(final.bids));
    expect(book.a).toEqual(new Map(final.asks));
  }
});

test('REST answers like the exchange', async () => {
  const { exchange, failRequests, setStatus } = await start();
  const status = async (target: string) => {
    const response = await fetch(exchange.restUrl + target);
    return [response.status, ((await response.json()) as { code?: number }).code];
  };
  expect(await status('/api/v3/ping')).toEqual([200, undefined]);
  expect(await status('/api/v3/depth?symbol=NOPE')).toEqual([400, -1121]);
  expect(await status('/api/v3/depth')).toEqual([400, -1102]);
  expect(await status('/api/v3/klines?symbol=BTCUSDT&interval=7m')).toEqual([400, -1120]);
  expect(await status('/api/v3/trades?symbol=BTCUSDT&limit=x')).toEqual([400, -1100]);
  expect(await status('/api/v1/depth?symbol=BTCUSDT')).toEqual([404, -1]);
  expect(await rest(exchange, '/api/v3/time')).toEqual({ serverTime: START });

  setStatus('ETH/USDT', 'BREAK');
  const info = await rest<{ symbols: { symbol: string; status: string; filters: object[] }[] }>(
    exchange,
    '/api/v3/exchangeInfo',
  );
  expect(info.symbols.map((s) => [s.symbol, s.status])).toEqual([
    ['BTCUSDT', 'TRADING'],
    ['ETHUSDT', 'BREAK'],
  ]);
  expect(info.symbols[0]?.filters).toContainEqual(
    expect.objectContaining({ filterType: 'PRICE_FILTER', tickSize: '0.01000000' }),
  );

  failRequests(1, 429, 7);
  const refused = await fetch(`${exchange.restUrl}/api/v3/ping`);
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '7']);
  const served = await fetch(`${exchange.restUrl}/api/v3/ping`);
  expect(served.status).toBe(200);
  expect(Number(served.headers.get('x-mbx-used-weight-1m'))).toBeGreaterThan(0);
});

describe('faults', () => {
  test('skipped trades and diffs are missing on the socket alone', async () => {
    const { exchange, clock, burst, skipNextTrades, skipNextDepth, tradeIds, counters } =
      await start();
    const client = await connect(exchange, '/stream?streams=btcusdt@trade/btcusdt@depth@100ms');
    const [, before] = tradeIds(BTC);
    await burst(BTC, 2);
    skipNextTrades(BTC, 3);
    await burst(BTC, 5);
    const ids = () => client.data<WireTrade>('btcusdt@trade').map(({ t }) => t - before);
    await until(() => ids().length === 4);
    expect(ids()).toEqual([1, 2, 6, 7]);
    const history = `/api/v3/historicalTrades?symbol=BTCUSDT&fromId=${before + 1}&limit=1000`;
    expect(await rest<object[]>(exchange, history)).toHaveLength(7);

    const diffs = () => client.data<WireDepth>('btcusdt@depth@100ms');
    clock.now += 100;
    await until(() => diffs().length === 1);
    skipNextDepth(BTC);
    await burst(BTC, 5);
    clock.now += 100;
    await until(() => counters().skippedDepth === 1);
    await burst(BTC, 5);
    clock.now += 100;
    await until(() => diffs().length === 2);
    expect(diffs()[1]?.U).toBeGreaterThan((diffs()[0]?.u ?? 0) + 1);
  });

  test('a pause is silent, of one stream or of all, and loses what happens meanwhile', async () => {
    const { exchange, burst, pauseStreams, resumeStreams } = await start({ pingIntervalMs: 20 });
    const client = await connect(exchange, '/stream?streams=btcusdt@trade/ethusdt@trade');
    let pings = 0;
    client.socket.on('ping', () => (pings += 1));
    await until(() => pings > 0);
    pauseStreams(['btcusdt@trade']);
    await burst(BTC, 10);
    await burst('ETH/USDT', 1);
    await until(() => client.frames.length === 1);
    pauseStreams();
    client.socket.send('{"method":"LIST_SUBSCRIPTIONS","id":1}');
    await burst('ETH/USDT', 10);
    resumeStreams();
    pings = 0;
    await until(() => pings > 0);
    await burst(BTC, 1);
    await until(() => client.frames.length >= 2);
    expect(client.frames.map((frame) => frame.slice(0, 24))).toEqual([
      '{"stream":"ethusdt@trade',
      '{"stream":"btcusdt@trade',
    ]);
  });

  test('connections are closed, reset, refused, cut by age, and told of a shutdown', async () => {
    const { exchange, dropConnections, sendServerShutdown, refuseConnections, connections } =
      await start();
    const closed = await connect(exchange);
    const raw = await connect(exchange, '/ws');
    sendServerShutdown();
    await until(() => closed.frames.length + raw.frames.length === 2);
    const shutdown = { e: 'serverShutdown', E: START };
    expect(JSON.parse(closed.frames[0] ?? '')).toEqual({
      stream: '!serverShutdown',
      data: shutdown,
    });
    expect(JSON.parse(raw.frames[0] ?? '')).toEqual(shutdown);
    expect(dropConnections(1001)).toBe(2);
    expect(await closed.ended).toBe(1001);
    const reset = await connect(exchange);
    dropConnections();
    expect(await reset.ended).toBe(1006);
    refuseConnections(true);
    await expect(connect(exchange)).rejects.toThrow(/ECONNRESET|hang up/);
    refuseConnections(false);
    await connect(exchange);
    await until(() => connections().length === 1);

    const aged = await start({ pingIntervalMs: 10, maxConnectionAgeMs: 30 });
    expect(await (await connect(aged.exchange)).ended).toBe(1001);
  });

  test('a client that does not answer pings, or does not read, is cut off', async () => {
    const { exchange, burst } = await start({ pingIntervalMs: 10, maxBufferedBytes: 200_000 });
    const mute = new WebSocket(`${exchange.wsUrl}/stream`, { autoPong: false });
    mute.on('error', () => undefined);
    await once(mute, 'close');

    const slow = await start({ maxBufferedBytes: 100_000 });
    const client = await connect(slow.exchange, '/stream?streams=btcusdt@trade');
    client.socket.pause();
    while (slow.connections().length > 0) await slow.burst(BTC, 1000);
    client.socket.resume();
    expect(await client.ended).toBe(1006);
    await burst(BTC, 1);
  });
});

test('the journal tells every emitted trade and closed candle, skipped ones too', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'hyperfeed-sim-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const journalPath = path.join(folder, 'journal.ndjson');
  const { exchange, clock, burst, skipNextTrades, counters } = await start({ journalPath });
  skipNextTrades(BTC, 5);
  await burst(BTC, 20);
  clock.now += 60_000;
  await until(() => counters().candles === 2);
  const journal = (await readFile(journalPath, 'utf8')).trimEnd().split('\n');
  const entries = journal.map((line) => JSON.parse(line) as JournalEntry);
  const rows = await rest<
    { id: number; price: string; qty: string; time: number; isBuyerMaker: boolean }[]
  >(exchange, '/api/v3/trades?symbol=BTCUSDT&limit=20');
  expect(entries.filter(({ type }) => type === 'trade')).toEqual(
    rows.map(({ id, price, qty, time, isBuyerMaker }) => {
      const side = isBuyerMaker ? 'sell' : 'buy';
      return { type: 'trade', symbol: BTC, id, price, qty, side, time };
    }),
  );
  const candles = entries.filter(({ type }) => type === 'candle');
  const [row] = await rest<unknown[][]>(
    exchange,
    `/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=${START - 30_000}&limit=1`,
  );
  expect(candles.map(({ symbol }) => symbol)).toEqual([BTC, 'ETH/USDT']);
  const { time, open, high, low, close, volume, trades } = candles[0] as JournalCandle;
  expect([time, open, high, low, close, volume]).toEqual(row?.slice(0, 6));
  expect(trades).toBe(row?.[8]);
});

test('runs in a process of its own, with faults on request', async () => {
  const main = path.resolve(import.meta.dirname, '../../src/sim/main.ts');
  const args = ['--rate', '0', '--seed', '9', '--symbols', BTC];
  const child = spawn(process.execPath, [main, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const answers: unknown[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => answers.push(JSON.parse(line)));
  await until(() => answers.length === 1);
  const { restUrl } = answers[0] as { restUrl: string };
  child.stdin.write('{"control":"burst","args":["BTC/USDT",3]}\n{"control":"explode"}\n');
  await until(() => answers.length === 3);
  expect(answers.slice(1)).toEqual(
    expect.arrayContaining([{ control: 'burst', result: null }, { error: 'no control explode' }]),
  );
  const response = await fetch(`${restUrl}/api/v3/trades?symbol=BTCUSDT&limit=3`);
  expect(await response.json()).toHaveLength(3);
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});
