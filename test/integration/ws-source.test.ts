/** The running source against a simulated exchange that misbehaves, over real sockets. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { WsAdapter } from '../../src/ingest/adapter.ts';
import type { OrderBookSnapshot, Trade } from '../../src/ingest/events.ts';
import { assumeInstrument } from '../../src/ingest/instruments.ts';
import { loadAdapter } from '../../src/ingest/registry.ts';
import { createRest } from '../../src/ingest/rest.ts';
import type { SourceEvent } from '../../src/ingest/source.ts';
import { createWsSource, type Tapped } from '../../src/ingest/ws-source.ts';
import { createLogger } from '../../src/log.ts';
import { createMetrics, type Metrics } from '../../src/metrics.ts';
import type { SimulatedExchangeOptions } from '../../src/sim/exchange.ts';
import {
  configOf,
  freshDatabase,
  type LogLine,
  metricValue,
  prepareDaemon,
  type Settings,
  simulate,
  startDaemon,
} from '../support/daemon.ts';
import { waitFor } from '../support/stack.ts';

const BTC = 'BTC/USDT';
const ETH = 'ETH/USDT';
const binance = await loadAdapter('binance');

interface StartOptions {
  readonly settings?: Settings;
  readonly simulation?: Partial<SimulatedExchangeOptions>;
  readonly adapter?: WsAdapter;
  readonly channels?: readonly ('trades' | 'candles' | 'order_book')[];
}

/** Nothing trades until the test says so; what trades then is received, if the source is right. */
async function start(options: StartOptions = {}) {
  const { adapter = binance, channels = ['trades', 'order_book'] } = options;
  const simulation = await simulate({ tradesPerSecond: 0, ...options.simulation });
  const config = configOf({
    ...simulation.settings,
    'connection.reconnect.minDelayMs': 20,
    'connection.reconnect.maxDelayMs': 100,
    'log.level': 'debug',
    ...options.settings,
  });
  const metrics = createMetrics('binance');
  const log: LogLine[] = [];
  const destination = { write: (line: string) => void log.push(JSON.parse(line) as LogLine) };
  const logger = createLogger({ level: 'debug', destination });
  const { wsUrl, restUrl } = simulation.exchange;
  const sent: Tapped[] = [];
  const source = createWsSource({
    adapter,
    rest: createRest({ baseUrl: restUrl, weightPerMinute: 600_000 }),
    config,
    now: () => Date.now() * 1000,
    metrics,
    logger,
    tap: (seen) => seen.direction !== 'in' && sent.push(seen),
  });
  const events: SourceEvent[] = [];
  const stop = new AbortController();
  const instruments = config.symbols.map((symbol) => assumeInstrument(symbol, adapter));
  const running = source.run({ instruments, channels }, (e) => events.push(e), stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await running;
  });
  return {
    simulation,
    source,
    log,
    events,
    wsUrl,
    /** Frames that were sent, and connections that were dialed. */
    sent: (direction: Tapped['direction']) => sent.filter((seen) => seen.direction === direction),
    stop: () => stop.abort(),
    running,
    value: (metric: keyof Metrics, labels?: Record<string, string>) =>
      metricValue(metrics, metric, labels),
    ended: (reason: string) => metricValue(metrics, 'wsReconnects', { reason }),
    live: () =>
      waitFor(() => source.status().connections.open === source.status().connections.wanted, {
        what: 'the source to be live',
      }),
    /** Milliseconds before each attempt after an end. */
    delays: () =>
      log.filter(({ msg }) => msg.includes('dialing again')).map((line) => Number(line['delayMs'])),
    trades: (symbol: string) =>
      events.filter((e): e is Trade => e.type === 'trade' && e.symbol === symbol),
    books: (symbol: string) =>
      events.filter((e): e is OrderBookSnapshot => e.type === 'order_book' && e.symbol === symbol),
  };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Every trade of the exchange came, in order; during a take-over some came twice. */
async function expectEveryTrade({ simulation, trades }: Started): Promise<void> {
  simulation.setRate(0);
  const journal = await simulation.journal();
  for (const symbol of [BTC, ETH]) {
    const emitted = journal.flatMap((e) => (e.type === 'trade' && e.symbol === symbol ? e.id : []));
    const received = () => [...new Set(trades(symbol).map(({ tradeId }) => Number(tradeId)))];
    await waitFor(() => received().length >= emitted.length, { what: `all trades of ${symbol}` });
    expect(received()).toEqual(emitted);
  }
}

test('without acknowledgement a connection is not live, and is dialed again', async () => {
  const source = await start({ settings: { 'connection.ackTimeoutMs': 100 } });
  await source.live();
  source.simulation.pauseStreams();
  source.simulation.dropConnections();
  await waitFor(async () => (await source.ended('not_acknowledged')) >= 2, {
    what: 'two attempts',
  });
  expect(source.source.status()).toMatchObject({ connections: { open: 0, wanted: 1 } });
  expect(source.source.status().streams.map(({ state }) => state)).toContain('connecting');
  source.simulation.resumeStreams();
  await source.live();
  await source.simulation.burst(BTC, 100);
  await waitFor(() => source.trades(BTC).length === 100, { what: 'trades' });
});

test('a refused subscription ends the connection; the next one may do', async () => {
  let attempts = 0;
  const adapter: WsAdapter = {
    ...binance,
    subscribe(streams, state) {
      const frames = binance.subscribe(streams, state);
      if (++attempts > 2) return frames;
      return frames.map((frame) => ({ ...frame, text: frame.text.replace('btcusdt@', 'b c@') }));
    },
  };
  const source = await start({ adapter });
  await source.live();
  expect(await source.ended('refused')).toBe(2);
  expect(source.log.find(({ msg }) => msg === 'subscription refused')).toMatchObject({
    reason: expect.stringContaining('malformed') as string,
  });
});

test('delays double up to the maximum, with jitter, while no connection stays well', async () => {
  const source = await start({
    settings: {
      'connection.reconnect.minDelayMs': 10,
      'connection.reconnect.maxDelayMs': 60,
      'connection.reconnect.healthyAfterMs': 600_000,
    },
  });
  for (let drops = 1; drops <= 6; drops++) {
    await source.live();
    source.simulation.dropConnections();
    await waitFor(() => source.delays().length >= drops, { what: 'the end to be noticed' });
  }
  for (const [i, delay] of source.delays().entries()) {
    const longest = Math.min(10 * 2 ** i, 60);
    expect(delay).toBeGreaterThanOrEqual(longest / 2);
    expect(delay).toBeLessThanOrEqual(longest);
  }
  expect(await source.ended('socket_error')).toBe(6);
});

test('the delay falls back after a connection was well, not after one that never was', async () => {
  const source = await start({
    settings: {
      'connection.ackTimeoutMs': 100,
      'connection.reconnect.minDelayMs': 10,
      'connection.reconnect.maxDelayMs': 10_000,
      'connection.reconnect.healthyAfterMs': 50,
    },
  });
  await source.live();
  // It takes longer than that to find out that nobody answers.
  source.simulation.pauseStreams();
  source.simulation.dropConnections();
  await waitFor(async () => (await source.ended('not_acknowledged')) >= 4, { what: 'attempts' });
  expect(source.delays().at(-1)).toBeGreaterThanOrEqual(80);
  source.simulation.resumeStreams();
  await source.live();
  await sleep(60);
  const before = source.delays().length;
  source.simulation.dropConnections();
  await waitFor(() => source.delays().length > before, { what: 'the end to be noticed' });
  expect(source.delays().at(-1)).toBeLessThanOrEqual(10);
});

test('serverShutdown: another connection takes over before the old one is closed', async () => {
  const source = await start();
  await source.live();
  source.simulation.setRate(2_000);
  for (let round = 1; round <= 2; round++) {
    source.simulation.sendServerShutdown();
    await waitFor(async () => (await source.ended('server_shutdown')) === round, {
      what: 'the replacement',
    });
  }
  await waitFor(() => source.simulation.connections().length === 1, { what: 'the old to go' });
  await expectEveryTrade(source);
  expect(source.simulation.counters().accepted).toBe(3);
  // The books go over without a break as well.
  expect(source.events.filter(({ type }) => type === 'order_book_lost')).toEqual([]);
  expect(source.delays()).toEqual([]);
});

test('old connections are replaced before the exchange cuts them, and no trade is lost', async () => {
  const source = await start({
    settings: { 'connection.maxAgeMs': 1_200 },
    simulation: { maxConnectionAgeMs: 4_000, pingIntervalMs: 100 },
  });
  await source.live();
  source.simulation.setRate(2_000);
  await waitFor(async () => (await source.ended('rotated')) >= 3, { what: 'three rotations' });
  await expectEveryTrade(source);
  expect(source.delays()).toEqual([]);
});

test('a socket on which nothing comes any more, not even a ping, is given up', async () => {
  const source = await start({
    settings: { 'connection.silenceTimeoutMs': 1_000 },
    simulation: { pingIntervalMs: 50 },
  });
  await source.live();
  // Pings alone show that it lives, though nothing trades.
  const opened = source.sent('open').length;
  await sleep(1_500);
  expect(source.sent('open').length).toBe(opened);
  source.simulation.pauseStreams();
  await waitFor(async () => (await source.ended('silent')) > 0, { what: 'the end' });
  source.simulation.resumeStreams();
  await source.live();
  await source.simulation.burst(ETH, 10);
  await waitFor(() => source.trades(ETH).length === 10, { what: 'trades' });
});

test('one stream that falls silent: subscribed again, then on another connection', async () => {
  const source = await start({ settings: { 'connection.staleAfterMs.trades': 300 } });
  await source.live();
  source.simulation.setRate(500);
  await waitFor(() => source.trades(BTC).length > 50, { what: 'trades' });
  const before = source.sent('out').length;
  source.simulation.pauseStreams(['btcusdt@trade']);
  await waitFor(() => source.source.status().streams.some(({ state }) => state === 'stale'), {
    what: 'it to be stale',
  });
  await waitFor(() => source.sent('out').length > before, { what: 'a new subscription' });
  expect(source.sent('out')[before]?.frame).toContain('"params":["btcusdt@trade"]');
  await waitFor(async () => (await source.ended('stale')) === 1, { what: 'a new connection' });
  source.simulation.resumeStreams();
  const known = source.trades(BTC).length;
  await waitFor(() => source.trades(BTC).length > known, { what: 'trades again' });
  await waitFor(() => source.source.status().streams.every(({ state }) => state === 'live'), {
    what: 'all to be live',
  });
  expect(source.delays()).toEqual([]);
});

test('a hole in the changes of a book: nothing is published until it is right again', async () => {
  const source = await start({ simulation: { tradesPerSecond: 200 } });
  await source.live();
  await waitFor(() => source.books(BTC).length > 5 && source.books(ETH).length > 5, {
    what: 'books',
  });
  // The snapshot is not to be had at once.
  source.simulation.failRequests(1, 500);
  source.simulation.skipNextDepth(BTC);
  await waitFor(() => source.events.some(({ type }) => type === 'order_book_lost'), {
    what: 'the loss',
  });
  const lost = source.events.findIndex(({ type }) => type === 'order_book_lost');
  expect(source.events[lost]).toEqual({ type: 'order_book_lost', symbol: BTC });
  expect(await source.value('orderBookResyncs', { reason: 'sequence' })).toBe(1);
  await waitFor(() => source.log.some(({ msg }) => msg.includes('snapshot failed')), {
    what: 'the failed request',
  });
  const isBook = (symbol: string) => (event: SourceEvent) =>
    event.type === 'order_book' && event.symbol === symbol;
  const meanwhile = source.books(ETH).length;
  await waitFor(() => source.books(ETH).length > meanwhile + 3, { what: 'the other book' });
  expect(source.events.slice(lost).filter(isBook(BTC))).toEqual([]);
  expect(source.source.status().orderBooksInSync).toBe(1);
  await waitFor(() => source.events.slice(lost).some(isBook(BTC)), { what: 'the book again' });
  expect(source.source.status().orderBooksInSync).toBe(2);
});

test('books are the exchange’s, level by level', async () => {
  const clock = { stopped: 0 };
  const source = await start({
    simulation: { tradesPerSecond: 300, clock: () => clock.stopped || Date.now() },
  });
  await source.live();
  await waitFor(() => source.books(BTC).length > 20, { what: 'books' });
  // The last changes come with one more frame, and then the market stands still.
  clock.stopped = Date.now() + 100;
  const url = `${source.simulation.exchange.restUrl}/api/v3/depth?symbol=BTCUSDT&limit=20`;
  await waitFor(
    async () => {
      const { bids, asks } = (await (await fetch(url)).json()) as OrderBookSnapshot;
      expect([bids.length, asks.length]).toEqual([20, 20]);
      const last = source.books(BTC).at(-1);
      return JSON.stringify([last?.bids, last?.asks]) === JSON.stringify([bids, asks]);
    },
    { what: 'the same book' },
  );
});

test('many symbols share connections within the limits', async () => {
  const symbols = Array.from({ length: 250 }, (_, i) => `S${i}/USDT`);
  const source = await start({
    adapter: { ...binance, limits: { ...binance.limits, streamsPerConnection: 100 } },
    channels: ['trades'],
    settings: { symbols },
    simulation: { symbols, bookLevels: 2, depthIntervalMs: 60_000, historyCandles: 0 },
  });
  await source.live();
  const sizes = source.simulation.connections().map(({ streams }) => streams.length);
  expect(sizes.toSorted((a, b) => a - b)).toEqual([50, 100, 100]);
  for (const symbol of symbols) await source.simulation.burst(symbol, 1);
  await waitFor(() => symbols.every((symbol) => source.trades(symbol).length === 1), {
    what: 'a trade of each',
  });
  // One connection ends, the others go on.
  source.stop();
  await source.running;
  expect(source.source.status().connections.open).toBe(0);
});

test('stops while it dials, waits and takes over', async () => {
  const source = await start({ settings: { 'connection.reconnect.minDelayMs': 60_000 } });
  await source.live();
  source.simulation.dropConnections();
  await waitFor(() => source.delays().length > 0, { what: 'the wait' });
  source.stop();
  await source.running;
  expect(source.simulation.connections()).toEqual([]);
});

test('the daemon refuses a symbol that the exchange does not list, and names the nearest', async () => {
  const simulation = await simulate();
  const database = await freshDatabase();
  const { daemon } = await prepareDaemon({
    ...simulation.settings,
    symbols: ['BTC/USTD', ETH],
    'database.url': database.url,
  });
  await expect(daemon.start(AbortSignal.timeout(20_000))).rejects.toMatchObject({
    code: 'unknown_symbol',
    message: expect.stringMatching(/BTC\/USTD \(nearest: BTC\/USDT/) as string,
  });
});

test('no market list: the configured symbols alone, and their trades are stored', async () => {
  const simulation = await simulate({ tradesPerSecond: 0 });
  const database = await freshDatabase();
  const daemon = await startDaemon({
    ...simulation.settings,
    'connection.restUrl': 'http://127.0.0.1:9',
    'database.url': database.url,
  });
  await simulation.subscribed(6);
  await simulation.burst(BTC, 10);
  await waitFor(
    async () => (await database.query('SELECT FROM trades').catch(() => [])).length === 10,
    { what: 'the trades' },
  );
  expect(
    await database.query('SELECT symbol, status, price_precision FROM symbols ORDER BY symbol'),
  ).toEqual([BTC, ETH].map((symbol) => ({ symbol, status: 'active', price_precision: null })));
  expect(daemon.logged('market list could not be had').length).toBeGreaterThan(0);
});

test('told to wait by REST, it waits', async () => {
  const simulation = await simulate();
  const database = await freshDatabase();
  simulation.failRequests(1, 429, 1);
  const startedAt = performance.now();
  await startDaemon({
    ...simulation.settings,
    channels: ['trades'],
    'database.url': database.url,
  });
  expect(performance.now() - startedAt).toBeGreaterThan(1_000);
  expect(simulation.counters().restRequests).toBe(2);
});
