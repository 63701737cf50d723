/** Spool -> PostgreSQL: each accepted row once, whatever the server and the network say. */
import { getEventListeners } from 'node:events';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { OrderBookSnapshot } from '../../src/ingest/events.ts';
import { createLogger } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics.ts';
import { openSpool } from '../../src/writers/spool.ts';
import {
  configOf,
  freshDatabase,
  storedTrades,
  temporaryFolder,
  usedMemory,
} from '../support/daemon.ts';
import { startProxy } from '../support/proxy.ts';
import { waitFor } from '../support/stack.ts';
import { candle, rowOf, startOn, startWriting, TIME, trade, trades } from '../support/writing.ts';

test('rows that are there already: counted, and the others of their batch are stored', async () => {
  const database = await freshDatabase();
  const { write, drained, value } = await startOn(database);
  await write(...trades(2, 10));
  await drained();
  await write(...trades(6, 15), trade(15), trade(15));
  await drained();
  expect(await storedTrades(database)).toEqual(trades(1, 15).map(rowOf));
  expect(await value('rowsStored', { table: 'trades' })).toBe(15);
  expect(await value('rowsDuplicate', { table: 'trades' })).toBe(7);
  expect(await value('copyBatches', { path: 'staged' })).toBe(1);
  // By way of staging for a while, then straight again.
  for (let n = 16; n <= 45; n++) {
    await write(trade(n));
    await drained();
  }
  expect(await storedTrades(database)).toEqual(trades(1, 45).map(rowOf));
  expect(await value('rowsDuplicate', { table: 'trades' })).toBe(7);
  expect(await value('copyBatches', { path: 'staged' })).toBeLessThan(25);
});

test('candles: a correction replaces, a repetition is a duplicate, the later of two versions counts', async () => {
  const database = await freshDatabase();
  const { write, drained, value } = await startOn(database);
  const stored = async () => {
    const rows = await database.query<{ close: string }>(
      'SELECT close::text FROM market_data ORDER BY time',
    );
    return rows.map(({ close }) => close);
  };
  await write(candle('1.50'));
  await drained();
  await write(candle('1.50'));
  await drained();
  expect(await stored()).toEqual(['1.50']);
  expect(await value('rowsDuplicate', { table: 'market_data' })).toBe(1);
  await write(candle('1.60'));
  await drained();
  expect(await stored()).toEqual(['1.60']);
  expect(await value('rowsDuplicate', { table: 'market_data' })).toBe(1);
  await write(candle('1.70'), candle('3.10', 1), candle('1.80'), candle('3.20', 1));
  await drained();
  expect(await stored()).toEqual(['1.80', '3.20']);
  expect(await value('rowsDuplicate', { table: 'market_data' })).toBe(3);
});

test('a symbol that no list told of is made known, and no row waits for it', async () => {
  const database = await freshDatabase();
  const { write, drained } = await startOn(database);
  const swap = trade(7, 'NEW/USDT:USDT');
  await write(trade(2), swap, trade(8, 'ODD/BTC'), trade(3));
  await drained();
  expect(await storedTrades(database)).toHaveLength(5);
  expect(
    await database.query(
      'SELECT symbol, base_currency, quote_currency, status FROM symbols ORDER BY symbol',
    ),
  ).toEqual([
    { symbol: 'BTC/USDT', base_currency: 'BTC', quote_currency: 'USDT', status: 'active' },
    { symbol: 'NEW/USDT:USDT', base_currency: 'NEW', quote_currency: 'USDT', status: 'active' },
    { symbol: 'ODD/BTC', base_currency: 'ODD', quote_currency: 'BTC', status: 'active' },
  ]);
});

test('order books keep every digit in JSONB', async () => {
  const database = await freshDatabase();
  const { write, drained } = await startOn(database);
  const book: OrderBookSnapshot = {
    type: 'order_book',
    exchange: 'binance',
    symbol: 'BTC/USDT',
    time: TIME,
    receivedAt: TIME,
    bids: [
      ['61837.63000000', '0.02000000'],
      ['0.1234567890123456789', '12345678901234567890.00000000000000000001'],
    ],
    asks: [],
  };
  await write(book);
  await drained();
  expect(await database.query('SELECT bids::text, asks::text FROM order_book')).toEqual([
    {
      bids:
        '[{"price": 61837.63000000, "amount": 0.02000000}, ' +
        '{"price": 0.1234567890123456789, "amount": 12345678901234567890.00000000000000000001}]',
      asks: '[]',
    },
  ]);
});

test('a server without TimescaleDB stores the same', async () => {
  const database = await freshDatabase({ timescale: false });
  await database.query(`ALTER DATABASE "${database.name}" SET timescaledb.disable_load = on`);
  const { write, drained, value } = await startOn(database);
  await write(...trades(1, 9), candle('1.50'), candle('1.60'));
  await drained();
  expect(await storedTrades(database)).toEqual(trades(1, 9).map(rowOf));
  expect(await value('rowsDuplicate')).toBe(2);
  expect(await database.query('SELECT close::text FROM market_data')).toEqual([{ close: '1.60' }]);
});

test('a commit whose answer is lost is not repeated', async () => {
  const database = await freshDatabase();
  const proxy = await startProxy(database.url);
  const { write, drained, value } = await startOn(database, { 'database.url': proxy.url });
  for (let round = 0; round < 5; round++) {
    const lost = proxy.loseAnswer('COMMIT');
    await write(...trades(2 + round * 10, 11 + round * 10), candle(`1.${round}`, round));
    await lost;
    await drained();
  }
  expect(await storedTrades(database)).toEqual(trades(1, 51).map(rowOf));
  expect(await value('watermarkSkipped')).toBe(10);
  // The watermark told: nothing had to be found out row by row.
  expect(await value('copyBatches', { path: 'staged' })).toBe(0);
  expect(await value('rowsDuplicate')).toBe(0);
});

test('a link that goes dead, in the middle of a COPY and idle, is given up after the deadline', async () => {
  const database = await freshDatabase();
  const proxy = await startProxy(database.url);
  const { write, drained, value } = await startOn(database, {
    'database.url': proxy.url,
    'database.copyTimeoutMs': 300,
    'database.connectTimeoutMs': 300,
  });
  proxy.stall();
  await write(...trades(2, 500));
  await waitFor(async () => (await value('storeErrors')) > 0, { what: 'the deadline' });
  proxy.resume();
  await drained();
  proxy.reset();
  await write(...trades(501, 600));
  await drained();
  expect(await storedTrades(database)).toEqual(trades(1, 600).map(rowOf));
});

test('a lock on the table delays, and costs nothing', async () => {
  const database = await freshDatabase();
  const { write, drained, value } = await startOn(database);
  const blocker = new Client({ connectionString: database.url });
  await blocker.connect();
  onTestFinished(() => blocker.end());
  await blocker.query('BEGIN; LOCK TABLE trades IN ACCESS EXCLUSIVE MODE');
  await write(...trades(2, 20));
  const retries = () => value('storeErrors', { action: 'retry' });
  await waitFor(async () => (await retries()) > 0, { what: 'the lock timeout' });
  await blocker.query('COMMIT');
  await drained();
  // On the same session: a lock is no reason to doubt it.
  expect(await value('storeErrors', { action: 'reconnect' })).toBe(0);
  expect(await storedTrades(database)).toEqual(trades(1, 20).map(rowOf));
});

test('a table that is gone: halted and said; once it is mended it goes on', async () => {
  const database = await freshDatabase();
  const refused: unknown[] = [];
  const { write, drained, report, log } = await startWriting(
    { 'database.url': database.url },
    { haltRecheckMs: 50, onRefused: (error) => refused.push(error) },
  );
  await write(trade(1));
  await drained();
  await database.query('ALTER TABLE trades RENAME TO hidden');
  await write(...trades(2, 20));
  await waitFor(() => report().status['state'] === 'halted', { what: 'the halt' });
  expect(report().reasons).toContainEqual({
    code: 'writer_halted',
    severity: 'failing',
    detail: expect.stringContaining('trades') as string,
  });
  // Rows are accepted all the same, and it looks again.
  await write(...trades(21, 30));
  await waitFor(() => log.filter(({ msg }) => msg === 'storing interrupted').length > 2, {
    what: 'another look',
  });
  await database.query('ALTER TABLE hidden RENAME TO trades');
  await drained();
  await waitFor(() => report().reasons.length === 0, { what: 'health' });
  expect(await storedTrades(database)).toEqual(trades(1, 30).map(rowOf));
  // It had stored before: no reason to give up as a whole.
  expect(refused).toEqual([]);
});

test('a server that takes sessions but no rows is not hammered', async () => {
  const database = await freshDatabase();
  const { write, drained, log } = await startOn(database);
  await database.query(`
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN RAISE 'disk full' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER fail BEFORE INSERT ON trades FOR EACH ROW EXECUTE FUNCTION fail()`);
  await write(...trades(2, 20));
  const delays = () =>
    log.filter(({ msg }) => msg === 'storing interrupted').map(({ delayMs }) => Number(delayMs));
  await waitFor(() => delays().length >= 5, { what: 'five attempts' });
  expect(delays()[4]).toBeGreaterThanOrEqual(800);
  await database.query('DROP TRIGGER fail ON trades');
  await drained();
  expect(await storedTrades(database)).toEqual(trades(1, 20).map(rowOf));
});

test('what was stored is not kept in memory', async () => {
  const database = await freshDatabase();
  const { write, drained } = await startOn(database, { 'database.batch.maxDelayMs': 0 });
  const before = usedMemory();
  const levels = Array.from({ length: 1000 }, (_, i) => [`${1000 - i}.00`, '0.5'] as const);
  // 60 batches of a quarter of a megabyte.
  for (let n = 0; n < 60; n++) {
    const books = ['A', 'B', 'C', 'D'].map((base): OrderBookSnapshot => ({
      type: 'order_book',
      exchange: 'binance',
      symbol: `${base}/USDT`,
      time: TIME + n * 1_000_000,
      receivedAt: TIME,
      bids: levels,
      asks: levels,
    }));
    await write(...books);
    await drained();
  }
  expect(usedMemory() - before).toBeLessThan(6 * 1024 * 1024);
});

test('reading leaves nothing behind on a signal that lives as long as the process', async () => {
  const metrics = createMetrics('binance');
  const logger = createLogger({ level: 'fatal' });
  const config = configOf({ 'spool.directory': await temporaryFolder(), 'spool.fsync': 'os' });
  const spool = await openSpool({ exchange: 'binance', config: config.spool, metrics, logger });
  onTestFinished(() => spool.close());
  const { signal } = new AbortController();
  const limits = { maxRows: 10, maxBytes: 1_000_000, maxDelayMs: 1 };
  for (let i = 0; i < 20; i++) {
    spool.append(1, Buffer.from('row\n'), 1, 0);
    const batch = await spool.read(limits, signal);
    if (batch) await spool.release(batch);
  }
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});
