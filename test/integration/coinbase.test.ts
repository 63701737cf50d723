/** Coinbase Exchange, running: candles made of trades, through a cut; a book that cannot be trusted. */
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { type ConfigInput, configSchema } from '../../src/config.ts';
import type { WsAdapter } from '../../src/ingest/adapter.ts';
import type { Candle, Channel } from '../../src/ingest/events.ts';
import { assumeInstrument } from '../../src/ingest/instruments.ts';
import { loadAdapter } from '../../src/ingest/registry.ts';
import { createRest } from '../../src/ingest/rest.ts';
import type { SourceEvent } from '../../src/ingest/source.ts';
import { createWsSource } from '../../src/ingest/ws-source.ts';
import { createMetrics } from '../../src/metrics.ts';
import { type CoinbaseServer, startCoinbaseServer } from '../support/coinbase-server.ts';
import { waitFor } from '../support/stack.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface RunningOptions {
  readonly channels: readonly Channel[];
  readonly symbols?: readonly string[];
  readonly emptyMinutes?: 'present' | 'absent';
  readonly config?: ConfigInput;
  readonly adapt?: (adapter: WsAdapter) => WsAdapter;
}

async function running({ channels, emptyMinutes = 'absent', ...options }: RunningOptions) {
  const server = await startCoinbaseServer({ speed: 60, emptyMinutes });
  cleanups.push(() => server.close());
  const adapter = (options.adapt ?? ((same) => same))(await loadAdapter('coinbase-exchange'));
  const metrics = createMetrics(adapter.id);
  const source = createWsSource({
    adapter,
    rest: createRest({ baseUrl: server.restUrl, weightPerMinute: 100_000 }),
    config: configSchema.parse({
      connection: { wsUrl: server.wsUrl, ...options.config?.connection },
    }),
    now: () => Math.round(server.nowMs() * 1000),
    metrics,
    logger: pino({ level: 'silent' }),
  });
  const events: SourceEvent[] = [];
  const stopping = new AbortController();
  const symbols = options.symbols ?? ['BTC/USD'];
  const instruments = symbols.map((symbol) => assumeInstrument(symbol, adapter));
  const run = source.run({ instruments, channels }, (event) => events.push(event), stopping.signal);
  cleanups.push(async () => {
    stopping.abort();
    await run;
  });
  const of = (type: SourceEvent['type']) => events.filter((event) => event.type === type);
  return { server, events, of, metrics };
}

/** The last version of each candle, as the store would hold it, in the numbers of the exchange. */
function storedCandles(candles: readonly Candle[]) {
  const byTime = new Map(candles.map((candle) => [candle.time, candle]));
  return new Map(
    [...byTime].map(([time, { open, high, low, close, volume }]) => [
      time / 1000,
      { ms: time / 1000, open: +open, high: +high, low: +low, close: +close, volume: +volume },
    ]),
  );
}

/** What the exchange made of minutes that were over long enough ago to be asked for. */
function settled(server: CoinbaseServer) {
  return server.candles(server.nowMs()).filter(({ ms }) => ms + 60_000 + 20_000 < server.nowMs());
}

test('each minute has the candle that the exchange has: the first, those of a cut, the others', async () => {
  const { server, of } = await running({ channels: ['candles'] });
  const candles = () => storedCandles(of('candle') as Candle[]);
  await waitFor(() => candles().size >= 2, { what: 'candles' });
  server.cut();
  const cutMinutes = candles().size;
  await waitFor(() => candles().size >= cutMinutes + 3, { what: 'candles after the cut' });
  const wanted = settled(server);
  await waitFor(() => wanted.every(({ ms }) => candles().has(ms)), { what: 'the last of them' });
  const got = candles();
  expect(wanted.map(({ ms }) => got.get(ms))).toEqual(wanted);
  // Trades were received, but only candles were asked for.
  expect(of('trade')).toEqual([]);
}, 60_000);

/** As Coinbase Advanced does: what was lost is not known. */
const ofAllBooks = (adapter: WsAdapter): WsAdapter => ({
  ...adapter,
  decode: (frame, state) =>
    adapter
      .decode(frame, state)
      .map((item) => (item.kind === 'gap' ? { ...item, venueSymbol: null } : item)),
});

test.each([
  { what: 'a change that cannot be read', adapt: undefined },
  { what: 'a hole in what counts the whole connection', adapt: ofAllBooks },
])('$what costs the book, which a new snapshot brings back', async ({ adapt }) => {
  const { server, events, of } = await running({
    channels: ['order_book'],
    ...(adapt && { adapt }),
  });
  await waitFor(() => of('order_book').length > 3, { what: 'a book' });
  server.sendBadChange();
  await waitFor(() => of('order_book_lost').length === 1, { what: 'its loss' });
  const lostAt = events.findIndex(({ type }) => type === 'order_book_lost');
  await waitFor(() => events.length > lostAt + 3, { what: 'the book again' });
  const book = { product_ids: ['BTC-USD'], channels: ['heartbeat', 'level2_batch'] };
  expect(server.received.map((text) => JSON.parse(text) as unknown)).toEqual([
    { type: 'subscribe', ...book },
    { type: 'unsubscribe', product_ids: ['BTC-USD'], channels: ['level2_batch'] },
    { type: 'subscribe', ...book },
  ]);
  expect(of('order_book_lost').length).toBe(1);
});

test('an exchange that goes on sending what cannot be read is not flooded with questions', async () => {
  const { server, of } = await running({ channels: ['order_book'] });
  await waitFor(() => of('order_book').length > 0, { what: 'a book' });
  const startedAt = performance.now();
  const asked = () => server.received.filter((text) => text.includes('unsubscribe')).length;
  while (asked() < 3) {
    server.sendBadChange();
    await sleep(5);
  }
  expect(performance.now() - startedAt).toBeGreaterThan(1_900);
});

test('a product that is refused, again and again, takes no other with it', async () => {
  const { server, of, metrics } = await running({
    channels: ['trades'],
    symbols: ['XYZ/USD', 'BTC/USD'],
    config: { connection: { staleAfterMs: { trades: 300 } } },
  });
  const refusals = () => server.received.filter((text) => text.includes('XYZ-USD')).length;
  await waitFor(() => refusals() >= 2, { what: 'the second attempt' });
  const before = of('trade').length;
  await waitFor(() => of('trade').length > before + 10, { what: 'trades of the other' });
  expect(await metrics.registry.metrics()).not.toContain('ws_reconnects_total{');
});

test.each(['present', 'absent'] as const)(
  'a minute without trades is as the history has it: %s',
  async (emptyMinutes) => {
    const { server, of } = await running({
      channels: ['candles'],
      emptyMinutes,
      adapt: (adapter) => {
        const candles = adapter.history?.candles;
        return candles
          ? { ...adapter, history: { candles: { ...candles, emptyMinutes } } }
          : adapter;
      },
    });
    const candles = () => storedCandles(of('candle') as Candle[]);
    await waitFor(() => candles().size >= 1, { what: 'a candle' });
    server.pause(true);
    const pausedAtMs = server.nowMs();
    await waitFor(() => server.nowMs() > pausedAtMs + 150_000, { what: 'two minutes' });
    server.pause(false);
    const resumedAtMs = server.nowMs();
    await waitFor(() => Math.max(...candles().keys()) > resumedAtMs, { what: 'candles again' });
    const wanted = server.candles(server.nowMs()).filter(({ ms }) => ms + 60_000 < resumedAtMs);
    await waitFor(() => wanted.every(({ ms }) => candles().has(ms)), { what: 'all of them' });
    const got = [...candles().values()].filter(({ ms }) => ms + 60_000 < resumedAtMs);
    expect(got.toSorted((a, b) => a.ms - b.ms)).toEqual(wanted);
    const empty = got.filter(({ volume }) => volume === 0).length;
    expect(empty > 0).toBe(emptyMinutes === 'present');
  },
);
