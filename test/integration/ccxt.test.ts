/** ccxt behind the seam: real sockets into real PostgreSQL and Redis. */
import { describe, expect, test } from 'vitest';
import { createKeyspace } from '../../src/schema/keyspace.ts';
import { readOrderBook, readPrice } from '../../src/schema/keyspace/market.ts';
import { startKrakenServer, withoutContracts } from '../support/ccxt.ts';
import {
  freshDatabase,
  prepareDaemon,
  rowsOf,
  runHyperfeed,
  simulate,
  startDaemon,
  storedTrades,
} from '../support/daemon.ts';
import { redisClient } from '../support/latest.ts';
import { redisDatabase, type TestDatabase, waitFor } from '../support/stack.ts';

const ID = 'ccxt-binance';
const SYMBOLS = ['BTC/USDT', 'ETH/USDT'];

async function binance(options: Parameters<typeof simulate>[0] = {}) {
  const sim = await simulate(options);
  const database = await freshDatabase();
  const settings = {
    ...sim.settings,
    exchange: 'ccxt:binance',
    'connection.restUrl': await withoutContracts(sim.exchange.restUrl),
    'database.url': database.url,
  };
  return { sim, database, settings };
}

/** The journal's trades from the first stored one of each symbol to the last: none may be missing. */
async function expectContiguous(
  database: TestDatabase,
  sim: Awaited<ReturnType<typeof simulate>>,
  symbols: readonly string[] = SYMBOLS,
) {
  const stored = await storedTrades(database, ID);
  const journal = rowsOf(await sim.journal());
  for (const symbol of symbols) {
    const mine = stored.filter((row) => row[0] === symbol);
    const ids = mine.map((row) => Number(row[1]));
    expect(ids.length).toBeGreaterThan(10);
    const between = journal.filter(
      (row) =>
        row[0] === symbol && Number(row[1]) >= (ids[0] ?? 0) && Number(row[1]) <= (ids.at(-1) ?? 0),
    );
    expect(mine).toEqual(between);
  }
}

describe('ccxt:binance, against the simulation', () => {
  test('stores every trade, book and candle; says what it is', async () => {
    // Three seconds before a minute ends.
    const offset = 57_000 - (Date.now() % 60_000);
    const redisUrl = await redisDatabase();
    const { sim, database, settings } = await binance({
      tradesPerSecond: 200,
      clock: () => Date.now() + offset,
    });
    const daemon = await startDaemon({ ...settings, 'redis.url': redisUrl });
    await waitFor(() => daemon.value('events', { type: 'candle' }).then((n) => n >= 2), {
      what: 'a candle of each symbol',
      timeoutMs: 20_000,
    });
    await waitFor(() => daemon.value('orderBooksInSync').then((n) => n === 2), { what: 'books' });
    const status = await daemon.page<{ exchange: string; parts: { feed: Feed } }>('/status');
    expect(status.exchange).toBe(ID);
    expect(status.parts.feed.connections).toEqual({ open: 3, wanted: 3 });
    expect(status.parts.feed.streams.length).toBe(6);
    expect(status.parts.feed.streams.every(({ provenance }) => provenance === 'ccxt')).toBe(true);
    expect(await daemon.value('provenance', { channel: 'candles', provenance: 'ccxt' })).toBe(1);
    await daemon.daemon.stop();

    await expectContiguous(database, sim);
    const candles = await database.query(
      `SELECT symbol, (extract(epoch FROM time) * 1000)::float8 AS time, open::text, high::text,
         low::text, close::text, volume::text, trades FROM market_data WHERE exchange = $1`,
      [ID],
    );
    const closed = (await sim.journal()).filter(({ type }) => type === 'candle');
    expect(candles.length).toBeGreaterThanOrEqual(2);
    for (const { symbol, time, trades, ...values } of candles) {
      expect(trades).toBe(null);
      const entry = closed.find((one) => one.symbol === symbol && one.time === time);
      // From the stream they are floats within ccxt, without zeros at their ends; from REST texts.
      const wanted = Object.keys(values).map((name) => withoutZeros(entry?.[name as 'time']));
      expect(Object.values(values).map(withoutZeros)).toEqual(wanted);
    }
    const books = await database.query(`SELECT bids, asks FROM order_book WHERE exchange = $1`, [
      ID,
    ]);
    expect(books.length).toBeGreaterThan(2);
    const markets = await database.query(
      `SELECT symbol, price_precision, quantity_precision, min_order_size::text FROM symbols
       WHERE exchange = $1 ORDER BY symbol`,
      [ID],
    );
    expect(markets.map(({ symbol }) => symbol)).toEqual(SYMBOLS);

    const redis = redisClient(redisUrl);
    const keys = createKeyspace('');
    const price = readPrice(await redis.hgetall(keys.price(ID, 'BTC/USDT')));
    const last = (await storedTrades(database, ID)).findLast(([symbol]) => symbol === 'BTC/USDT');
    expect(price?.price).toBe(last?.[3]);
    const book = readOrderBook(await redis.hgetall(keys.orderBook(ID, 'BTC/USDT')));
    expect(book).toBeDefined();
    const [[bid = ''] = [], [ask = ''] = []] = [book?.bids[0], book?.asks[0]];
    expect(Number(bid)).toBeLessThan(Number(ask));
  }, 60_000);

  test('begins anew when its sockets break, and doubles nothing', async () => {
    const { sim, database, settings } = await binance({ tradesPerSecond: 50 });
    const daemon = await startDaemon({ ...settings, channels: ['trades', 'order_book'] });
    const events = () => daemon.value('events', { type: 'trade' });
    await waitFor(async () => (await events()) > 20, { what: 'trades' });
    for (const code of [undefined, 1001]) {
      sim.dropConnections(code);
      const before = await events();
      await waitFor(async () => (await events()) > before + 20, {
        what: 'trades again',
        timeoutMs: 20_000,
      });
    }
    await waitFor(() => daemon.value('orderBooksInSync').then((n) => n === 2), { what: 'books' });
    expect(await daemon.value('wsReconnects')).toBeGreaterThanOrEqual(4);
    await daemon.daemon.stop();
    const journal = new Set(rowsOf(await sim.journal()).map(String));
    for (const row of await storedTrades(database, ID)) expect(journal).toContain(String(row));
    expect(await daemon.value('wsConnected')).toBe(0);
    expect(sim.connections()).toEqual([]);
  }, 60_000);

  test('begins anew when a stream falls silent', async () => {
    const { sim, settings } = await binance({ tradesPerSecond: 50 });
    const daemon = await startDaemon({
      ...settings,
      channels: ['trades'],
      'connection.staleAfterMs.trades': 1_000,
    });
    const events = () => daemon.value('events', { type: 'trade' });
    await waitFor(async () => (await events()) > 20, { what: 'trades' });
    sim.pauseStreams();
    await waitFor(() => daemon.value('wsReconnects', { reason: 'stale' }).then((n) => n > 0), {
      what: 'another instance',
      timeoutMs: 20_000,
    });
    sim.resumeStreams();
    const before = await events();
    await waitFor(async () => (await events()) > before, {
      what: 'trades again',
      timeoutMs: 20_000,
    });
    expect(daemon.logged('ccxt instance ended, starting another').length).toBeGreaterThan(0);
  }, 60_000);

  test('waits for an exchange that cannot be reached', async () => {
    const { sim, settings } = await binance({ tradesPerSecond: 50 });
    sim.refuseConnections(true);
    const daemon = await prepareDaemon({ ...settings, channels: ['trades'] });
    await daemon.start();
    sim.refuseConnections(false);
    await waitFor(async () => (await daemon.value('events', { type: 'trade' })) > 0, {
      what: 'trades',
      timeoutMs: 30_000,
    });
    expect(daemon.logged('market list could not be had').length).toBeGreaterThan(0);
  }, 60_000);

  test('lists its markets', async () => {
    const { settings } = await binance();
    const { stdout, code } = await runHyperfeed(
      ['symbols', '--exchange', 'ccxt:binance', '--base', 'btc', '--json'],
      { env: { HYPERFEED__CONNECTION__REST_URL: settings['connection.restUrl'] } },
    );
    expect(stdout.map((line) => JSON.parse(line) as object)).toMatchObject([
      { symbol: 'BTC/USDT', venueSymbol: 'BTCUSDT', status: 'active', pricePrecision: 2 },
    ]);
    expect(code).toBe(0);
  }, 30_000);
});

const withoutZeros = (value: unknown) => String(value).replace(/\.?0+$/, '');

interface Feed {
  readonly connections: object;
  readonly streams: readonly { readonly provenance: string }[];
}

test('ccxt:kraken stores what a server of its protocol sends', async () => {
  const kraken = await startKrakenServer();
  const database = await freshDatabase();
  const daemon = await startDaemon({
    exchange: 'ccxt:kraken',
    symbols: ['BTC/USD'],
    'connection.wsUrl': kraken.wsUrl,
    'connection.restUrl': kraken.restUrl,
    'database.url': database.url,
  });
  await waitFor(() => daemon.value('events', { type: 'candle' }).then((n) => n > 0), {
    what: 'a candle',
    timeoutMs: 20_000,
  });
  await waitFor(() => daemon.value('events', { type: 'trade' }).then((n) => n >= 3), {
    what: 'trades',
  });
  await waitFor(
    () => daemon.value('rowsStored', { table: 'order_book' }).then((rows) => rows > 0),
    { what: 'a sample of the book' },
  );
  await daemon.daemon.stop();
  const trades = await storedTrades(database, 'ccxt-kraken');
  expect(trades.map((row) => row.slice(1, 5))).toEqual(kraken.trades);
  const [candle] = await database.query(
    `SELECT open::text, high::text, low::text, close::text, volume::text, trades
     FROM market_data WHERE exchange = 'ccxt-kraken' ORDER BY time LIMIT 1`,
  );
  expect(candle).toEqual(kraken.candle);
  const [book] = await database.query(
    `SELECT bids, asks FROM order_book WHERE exchange = 'ccxt-kraken' ORDER BY time DESC LIMIT 1`,
  );
  expect(book).toEqual(kraken.book);
}, 60_000);
