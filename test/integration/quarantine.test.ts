/** Rows that PostgreSQL refuses: they alone are set aside, in the transaction of the others. */
import { expect, test } from 'vitest';
import { copyLine } from '../../src/writers/copy-text.ts';
import { encodeRow } from '../../src/writers/tables.ts';
import { freshDatabase, storedTrades } from '../support/daemon.ts';
import { startProxy } from '../support/proxy.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';
import { candle, rowOf, startOn, startWriting, trade, trades } from '../support/writing.ts';

interface Kept {
  table_name: string;
  line: string;
  sqlstate: string;
}

const kept = (database: TestDatabase) =>
  database.query<Kept>(
    `SELECT table_name, encode(line, 'escape') AS line, sqlstate FROM ingest_quarantine ORDER BY id`,
  );

/** As encode(..., 'escape') writes it. */
const escaped = (line: string) => line.replaceAll('\\', '\\\\').replace('\0', '\\000');

const TIME = '2026-03-01 12:00:00.000000+00';
/** Past every check of ours: straight into the spool. */
const POISON: Readonly<Record<string, { readonly line: string; readonly sqlstate: string }>> = {
  'a word for a number': {
    line: copyLine([TIME, 'BTC/USDT', 'binance', 'p1', 'buy', 'abc', '1']),
    sqlstate: '22P02',
  },
  'a price of zero': {
    line: copyLine([TIME, 'BTC/USDT', 'binance', 'p2', 'buy', '0', '1']),
    sqlstate: '23514',
  },
  'no side': {
    line: copyLine([TIME, 'BTC/USDT', 'binance', 'p3', null, '1', '1']),
    sqlstate: '23502',
  },
  'an id that is too long': {
    line: copyLine([TIME, 'BTC/USDT', 'binance', 'p'.repeat(101), 'buy', '1', '1']),
    sqlstate: '22001',
  },
  'a day that is none': {
    line: copyLine(['2026-02-31 00:00:00+00', 'BTC/USDT', 'binance', 'p5', 'buy', '1', '1']),
    sqlstate: '22008',
  },
  'a cell too few': {
    line: copyLine([TIME, 'BTC/USDT', 'binance', 'p6', 'buy', '1']),
    sqlstate: '22P04',
  },
  'a NUL': {
    line: copyLine([TIME, 'BTC/USDT', 'binance', 'p\0', 'buy', '1', '1']),
    sqlstate: '22021',
  },
  'a symbol that `symbols` cannot hold': {
    line: copyLine([TIME, `${'X'.repeat(40)}/USDT`, 'binance', 'p8', 'buy', '1', '1']),
    sqlstate: '23503',
  },
};

test.each(Object.entries(POISON))('%s: it alone is kept aside', async (_, { line, sqlstate }) => {
  const database = await freshDatabase();
  const { spool, write, drained, value, report } = await startOn(database);
  const text =
    trades(2, 400).map(encodeRow).join('') + line + trades(401, 800).map(encodeRow).join('');
  spool.append(1, Buffer.from(text), 800, Date.now() * 1000);
  await write(candle('1.50'));
  await drained();
  expect(await storedTrades(database)).toEqual(trades(1, 800).map(rowOf));
  expect(await database.query('SELECT close::text FROM market_data')).toEqual([{ close: '1.50' }]);
  const [row, ...others] = await kept(database);
  expect(others).toEqual([]);
  expect(row).toMatchObject({ table_name: 'trades', sqlstate });
  expect(row?.line).toBe(escaped(line.slice(0, -1)));
  expect(await value('rowsQuarantined', { sqlstate })).toBe(1);
  expect(await value('copyBatches', { path: 'isolated' })).toBe(1);
  expect(report().reasons).toEqual([]);
});

test('fifty of them among ten thousand, some of them duplicates', async () => {
  const database = await freshDatabase();
  const { spool, drained } = await startOn(database);
  const lines = trades(1, 10_000).map(encodeRow);
  const bad = Object.values(POISON);
  for (let n = 0; n < 50; n++) {
    lines.splice(n * 200, 0, (bad[n % bad.length] as (typeof bad)[number]).line);
  }
  for (let at = 0; at < lines.length; at += 500) {
    const part = lines.slice(at, at + 500);
    spool.append(1, Buffer.from(part.join('')), part.length, Date.now() * 1000);
  }
  await drained(60_000);
  expect(await storedTrades(database)).toEqual(trades(1, 10_000).map(rowOf));
  expect(await kept(database)).toHaveLength(50);
});

test('a commit whose answer is lost: each is kept once', async () => {
  const database = await freshDatabase();
  const proxy = await startProxy(database.url);
  const { spool, drained } = await startOn(database, { 'database.url': proxy.url });
  const lost = proxy.loseAnswer('COMMIT');
  const { line } = POISON['a price of zero']!;
  spool.append(1, Buffer.from(encodeRow(trade(2)) + line), 2, Date.now() * 1000);
  await lost;
  await drained();
  expect(await storedTrades(database)).toEqual(trades(1, 2).map(rowOf));
  expect(await kept(database)).toHaveLength(1);
});

test('nothing but refused rows: it is not the rows; once the table is mended all are stored', async () => {
  const database = await freshDatabase();
  const { write, drained, report } = await startWriting(
    { 'database.url': database.url },
    { haltRecheckMs: 50 },
  );
  await write(trade(1));
  await drained();
  await database.query('ALTER TABLE trades ADD CONSTRAINT none CHECK (price < 0) NOT VALID');
  await write(...trades(2, 2_000));
  await waitFor(() => report().status['state'] === 'halted', { what: 'the halt' });
  expect(report().reasons).toContainEqual({
    code: 'writer_halted',
    severity: 'failing',
    detail: expect.stringContaining('23514') as string,
  });
  expect(await kept(database)).toEqual([]);
  await database.query('ALTER TABLE trades DROP CONSTRAINT none');
  await drained();
  expect(await storedTrades(database)).toEqual(trades(1, 2_000).map(rowOf));
  expect(await kept(database)).toEqual([]);
});

test('a market that `symbols` cannot hold does not keep the others out', async () => {
  const database = await freshDatabase();
  const { symbols, write, drained, log } = await startOn(database);
  const market = (symbol: string, base: string) => ({
    symbol,
    venueSymbol: symbol,
    base,
    quote: 'USDT',
    status: 'active' as const,
    minOrderSize: null,
    maxOrderSize: null,
    pricePrecision: null,
    quantityPrecision: null,
  });
  symbols.set(
    [market('A/USDT', 'A'), market('B/USDT', 'B'.repeat(40)), market('C/USDT', 'C')],
    true,
  );
  await write(trade(2));
  await drained();
  const rows = await database.query<{ symbol: string }>('SELECT symbol FROM symbols ORDER BY 1');
  expect(rows.map(({ symbol }) => symbol)).toEqual(['A/USDT', 'BTC/USDT', 'C/USDT']);
  expect(log).toContainEqual(expect.objectContaining({ msg: 'market refused by the database' }));
});
