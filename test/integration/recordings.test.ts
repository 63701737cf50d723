/**
 * Recorded traffic of Binance, served over real sockets at full speed to the whole daemon, and played
 * into the store by `replay --into-store`: what is in PostgreSQL and Redis, compared with an
 * independent reference, text for text.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readRecordings, type RecordedLine } from '../../src/ingest/recording.ts';
import {
  environmentOf,
  freshDatabase,
  runHyperfeed,
  startDaemon,
  storedTrades,
  temporaryFolder,
  TIME_TEXT,
  type TradeRow,
} from '../support/daemon.ts';
import { startRecordingServer } from '../support/recording-server.ts';
import { expectedDir, recordingFiles } from '../support/recordings.ts';
import { redisDatabase, type TestDatabase, waitFor } from '../support/stack.ts';

const OLD = recordingFiles('binance', /^(book|trades|candles|control|markets|ticker)\.jsonl/);
const NEW = recordingFiles('binance', /\.hft\.jsonl/);

/** Every market that the recordings trade: venue symbol -> unified. */
const SYMBOLS: Readonly<Record<string, string>> = {
  SWRVBUSD: 'SWRV/BUSD',
  VETETH: 'VET/ETH',
  GTOBTC: 'GTO/BTC',
  BUSDTRY: 'BUSD/TRY',
  QSPBTC: 'QSP/BTC',
  ADARUB: 'ADA/RUB',
  PERLBNB: 'PERL/BNB',
  AAVEUPUSDT: 'AAVEUP/USDT',
  ONTTRY: 'ONT/TRY',
  STEEMETH: 'STEEM/ETH',
  FTMUSDT: 'FTM/USDT',
  XMRBTC: 'XMR/BTC',
  BTCUSDT: 'BTC/USDT',
};

const RECORDINGS = [
  { rec: 'cf-binance-20210417', files: OLD, suffix: '' },
  { rec: 'cf-binance-20210814', files: OLD, suffix: '' },
  { rec: 'hft-spot-btcusdt-20240808', files: NEW, suffix: '.hft' },
];

interface Expected {
  readonly trades: TradeRow[];
  /** Symbol -> its last state. */
  readonly books: Map<string, { bids: string[][]; asks: string[][] }>;
  /** All states, as text. */
  readonly states: Set<string>;
  readonly candles: unknown[][];
}

async function expectedLines(file: string): Promise<Record<string, unknown>[]> {
  const path = join(expectedDir() ?? '', 'binance', file);
  const bytes = await readFile(path).catch(() => readFile(`${path}.gz`).then(gunzipSync));
  const lines = bytes.toString().split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function expectationOf(rec: string, suffix: string): Promise<Expected> {
  const of = (lines: Record<string, unknown>[]) => lines.filter((line) => line['rec'] === rec);
  const symbolOf = (line: Record<string, unknown>) => SYMBOLS[String(line['symbol'])] ?? '?';
  const trades = of(await expectedLines(`trades${suffix}.jsonl`)).map(
    (t) =>
      [
        symbolOf(t),
        t['trade_id'],
        t['side'],
        t['price'],
        t['qty'],
        t['time'],
      ] as unknown as TradeRow,
  );
  const books: Expected['books'] = new Map();
  const states = new Set<string>();
  for (const line of of(await expectedLines(`book${suffix}.jsonl`))) {
    if (line['bids'] === undefined) continue;
    const bids = line['bids'] as string[][];
    const asks = line['asks'] as string[][];
    books.set(symbolOf(line), { bids, asks });
    states.add(JSON.stringify([symbolOf(line), bids, asks]));
  }
  const candles = suffix ? [] : of(await expectedLines('candles.closed.jsonl'));
  return {
    trades: trades.toSorted((a, b) =>
      a[0] === b[0] ? Number(a[1]) - Number(b[1]) : a[0] < b[0] ? -1 : 1,
    ),
    books,
    states,
    candles: candles.map((c) => [
      symbolOf(c),
      ...['open_time', 'open', 'high', 'low', 'close', 'volume'].map((name) => c[name]),
      c['trades'],
    ]),
  };
}

async function linesOf(rec: string, files: readonly string[]): Promise<RecordedLine[]> {
  const lines: RecordedLine[] = [];
  for await (const line of readRecordings(files)) if (line.rec === rec) lines.push(line);
  return lines;
}

async function storedCandles(database: TestDatabase): Promise<unknown[][]> {
  const rows = await database.query(
    `SELECT symbol, ${TIME_TEXT} AS time, open::text, high::text, low::text, close::text,
       volume::text, trades FROM market_data ORDER BY symbol, time`,
  );
  return rows.map((row) => Object.values(row));
}

/** Each row of order_book as a state of the reference: symbol, bids, asks. */
async function storedBooks(database: TestDatabase): Promise<{ state: string; time: string }[]> {
  // As text: a JS number would lose digits.
  const rows = await database.query<{ symbol: string; bids: string; asks: string; time: string }>(
    `SELECT symbol, bids::text, asks::text, ${TIME_TEXT} AS time FROM order_book ORDER BY symbol, time`,
  );
  const levels = (json: string) =>
    Array.from(json.matchAll(/"price": ([\d.]+), "amount": ([\d.]+)/g), ([, p, a]) => [p, a]);
  return rows.map(({ symbol, bids, asks, time }) => ({
    time,
    state: JSON.stringify([symbol, levels(bids), levels(asks)]),
  }));
}

/** Redis holds the last trade of each symbol and the last state of each book. */
async function expectLatest(redisUrl: string, { trades, books }: Expected): Promise<void> {
  const redis = new Redis(redisUrl);
  onTestFinished(() => redis.disconnect());
  for (const [symbol, book] of books) {
    const wanted = { bids: JSON.stringify(book.bids), asks: JSON.stringify(book.asks) };
    await waitFor(
      async () => (await redis.hget(`orderbook:binance:${symbol}`, 'bids')) === wanted.bids,
      { what: `the last book of ${symbol}` },
    );
    expect(await redis.hgetall(`orderbook:binance:${symbol}`)).toMatchObject(wanted);
  }
  const last = new Map(trades.map((row) => [row[0], row]));
  for (const [symbol, [, , , price, volume, time]] of last) {
    const timestamp = String(Date.parse(time));
    await waitFor(
      async () => (await redis.hget(`price:binance:${symbol}`, 'timestamp')) === timestamp,
      { what: `the last price of ${symbol}` },
    );
    expect(await redis.hgetall(`price:binance:${symbol}`)).toEqual({ price, volume, timestamp });
  }
}

describe.skipIf(expectedDir() === undefined).each(RECORDINGS)('$rec', ({ rec, files, suffix }) => {
  test('over real sockets at full speed', async () => {
    const expected = await expectationOf(rec, suffix);
    const records = await linesOf(rec, files);
    const server = await startRecordingServer({ records });
    onTestFinished(() => server.stop());
    const database = await freshDatabase();
    const redisUrl = await redisDatabase();
    const daemon = await startDaemon({
      symbols: [...new Set([...expected.books.keys(), ...expected.trades.map(([s]) => s)])],
      'connection.wsUrl': server.wsUrl,
      'connection.restUrl': server.restUrl,
      'database.url': database.url,
      'redis.url': redisUrl,
      'orderBook.snapshotIntervalMs': 100,
    });
    await server.done;
    const count = async () =>
      Number((await database.query('SELECT count(*) FROM trades'))[0]?.['count']);
    await waitFor(async () => (await count()) >= expected.trades.length, {
      what: `${expected.trades.length} trades`,
      timeoutMs: 20_000,
    });
    await expectLatest(redisUrl, expected);
    await waitFor(async () => (await storedBooks(database)).length >= expected.books.size, {
      what: 'a sample of each book',
    });
    await daemon.daemon.stop();

    expect(await storedTrades(database)).toEqual(expected.trades);
    expect(await storedCandles(database)).toEqual(expected.candles);
    const books = await storedBooks(database);
    expect(books.length).toBeGreaterThanOrEqual(expected.books.size);
    for (const { state } of books) expect(expected.states).toContain(state);
    expect(await daemon.value('decodeErrors')).toBe(0);
    expect(await daemon.value('orderBookResyncs', { reason: 'sequence' })).toBe(0);
    expect(await daemon.value('orderBookResyncs', { reason: 'crossed' })).toBe(0);
    expect(await daemon.value('rowsDuplicate')).toBe(0);
    const list = records.find(({ url }) => url?.endsWith('exchangeInfo'));
    if (list) await expectListed(database, list.frame);
  });

  test('by replay --into-store', async () => {
    const expected = await expectationOf(rec, suffix);
    const database = await freshDatabase();
    const redisUrl = await redisDatabase();
    const env = environmentOf({
      'spool.directory': await temporaryFolder(),
      'database.url': database.url,
      'redis.url': redisUrl,
      'http.port': 0,
    });
    // The files hold more than one recording; the other ones must not disturb.
    const args = ['--exchange', 'binance', '--symbols', Object.values(SYMBOLS).join(',')];
    const { code, stderr } = await runHyperfeed(['replay', '--into-store', ...args, ...files], {
      env,
    });
    expect({ code, stderr: stderr.filter((line) => !line.includes('"level":"info"')) }).toEqual({
      code: 0,
      stderr: [],
    });
    const all = await Promise.all(
      RECORDINGS.filter((other) => other.files === files).map((other) =>
        expectationOf(other.rec, other.suffix),
      ),
    );
    const trades = all.flatMap((one) => one.trades);
    expect((await storedTrades(database)).length).toBe(trades.length);
    const ids = new Set(expected.trades.map((row) => row.join()));
    const stored = await storedTrades(database);
    expect(stored.filter((row) => ids.has(row.join()))).toEqual(expected.trades);
    expect(await storedCandles(database)).toEqual(all.flatMap((one) => one.candles));
    await expectLatest(redisUrl, expected);

    const books = await storedBooks(database);
    const states = new Set(all.flatMap((one) => [...one.states]));
    expect(books.length).toBeGreaterThan(0);
    for (const { state, time } of books) {
      expect(states).toContain(state);
      // The clock of a replay is the recording's.
      expect(time).toMatch(/^20(21|24)-/);
    }
  });
});

/** Each market of the list, with the digits of its filters. */
async function expectListed(database: TestDatabase, body: string): Promise<void> {
  interface Market {
    readonly baseAsset: string;
    readonly quoteAsset: string;
    readonly status: string;
    readonly filters: readonly Record<string, string>[];
  }
  const rule = (text: string | undefined) => (text && /[1-9]/.test(text) ? text : null);
  const digits = (text: string | undefined) =>
    rule(text) && (/\.(\d*?)0*$/.exec(text ?? '')?.[1] ?? '').length;
  const wanted = (JSON.parse(body) as { symbols: Market[] }).symbols.map((market) => {
    const lot = market.filters.find(({ filterType }) => filterType === 'LOT_SIZE');
    const price = market.filters.find(({ filterType }) => filterType === 'PRICE_FILTER');
    return [
      `${market.baseAsset}/${market.quoteAsset}`,
      market.baseAsset,
      market.quoteAsset,
      market.status === 'TRADING' ? 'active' : 'inactive',
      rule(lot?.['minQty']),
      rule(lot?.['maxQty']),
      digits(price?.['tickSize']),
      digits(lot?.['stepSize']),
    ];
  });
  const rows = await database.query(
    `SELECT symbol, base_currency, quote_currency, status, min_order_size::text,
       max_order_size::text, price_precision, quantity_precision FROM symbols`,
  );
  const sorted = (list: unknown[][]) => list.map((row) => row.join('|')).toSorted();
  expect(wanted.length).toBeGreaterThan(1000);
  expect(sorted(rows.map((row) => Object.values(row)))).toEqual(sorted(wanted));
}
