/** Rows that PostgreSQL refuses: they alone are set aside, in the transaction of the others. */
import { expect, test } from 'vitest';
import { copyLine } from '../../src/writers/copy-text.ts';
import { encodeRow } from '../../src/writers/tables.ts';
import { freshDatabase, runHyperfeed, storedTrades } from '../support/daemon.ts';
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
  const { append, write, drained, value, report } = await startOn(database);
  const text =
    trades(2, 400).map(encodeRow).join('') + line + trades(401, 800).map(encodeRow).join('');
  append(text, 800);
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
  const { append, drained } = await startOn(database);
  const lines = trades(1, 10_000).map(encodeRow);
  const bad = Object.values(POISON);
  for (let n = 0; n < 50; n++) {
    lines.splice(n * 200, 0, (bad[n % bad.length] as (typeof bad)[number]).line);
  }
  for (let at = 0; at < lines.length; at += 500) {
    const part = lines.slice(at, at + 500);
    append(part.join(''), part.length);
  }
  await drained(60_000);
  expect(await storedTrades(database)).toEqual(trades(1, 10_000).map(rowOf));
  expect(await kept(database)).toHaveLength(50);
});

test('late rows and refused ones in one batch, on a server without TimescaleDB', async () => {
  const database = await freshDatabase({ timescale: false });
  await database.query(`ALTER DATABASE "${database.name}" SET timescaledb.disable_load = on`);
  const { append, drained } = await startOn(database);
  const late = (n: number) => encodeRow({ ...trade(n), time: Date.UTC(2013, n % 12, 28) * 1000 });
  const bad = Object.values(POISON).map(({ line }) => line);
  append(bad[0] + late(2) + bad[1] + encodeRow(trade(3)) + late(4) + bad[4] + bad[7], 7);
  await drained();
  append(late(5) + bad[5] + late(6) + bad[2], 4);
  await drained();
  expect((await storedTrades(database)).map(([, id]) => id)).toEqual([
    '1',
    '2',
    '3',
    '4',
    '5',
    '6',
  ]);
  expect(await kept(database)).toHaveLength(6);
});

test('a commit whose answer is lost: each is kept once', async () => {
  const database = await freshDatabase();
  const proxy = await startProxy(database.url);
  const { append, drained } = await startOn(database, { 'database.url': proxy.url });
  const lost = proxy.loseAnswer('COMMIT');
  const { line } = POISON['a price of zero']!;
  append(encodeRow(trade(2)) + line, 2);
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

test('`quarantine list` shows them, `quarantine replay` stores them once the cause is mended', async () => {
  const database = await freshDatabase();
  const { write, drained, stop } = await startOn(database);
  await database.query(
    `ALTER TABLE trades ADD CONSTRAINT odd CHECK (trade_id NOT IN ('7', '9')) NOT VALID`,
  );
  await write(...trades(2, 20));
  await drained();
  await stop();
  const run = async (...args: string[]) =>
    runHyperfeed(['quarantine', ...args], { env: { DATABASE_URL: database.url } });

  const list = await run('list');
  expect(list).toMatchObject({ code: 0 });
  expect(list.stdout).toHaveLength(3);
  expect(list.stdout[0]).toMatch(/^ID +AT +EXCHANGE +TABLE +SQLSTATE +REPLAYED +ROW$/);
  expect(list.stdout[1]).toContain('23514');
  expect(list.stdout[1]).toContain('60007.12345678');
  const json = await run('list', '--json');
  expect(JSON.parse(json.stdout[1] ?? '')).toMatchObject({
    table: 'trades',
    sqlstate: '23514',
    row: { trade_id: '9', price: '60009.12345678', symbol: 'BTC/USDT' },
  });

  expect(await run('replay')).toMatchObject({
    code: 1,
    stdout: [
      expect.stringMatching(/refused still, 23514/) as string,
      expect.stringMatching(/refused still, 23514/) as string,
      '0 stored, 0 known already, 2 refused still',
    ],
  });
  await database.query('ALTER TABLE trades DROP CONSTRAINT odd');
  const [first] = await database.query<{ id: string }>(
    'SELECT id FROM ingest_quarantine ORDER BY id',
  );
  expect(await run('replay', first?.id ?? '')).toMatchObject({
    code: 0,
    stdout: ['1 stored, 0 known already, 0 refused still'],
  });
  // Meanwhile it came by another way.
  await database.query(`INSERT INTO trades SELECT time, symbol, exchange, '9', 'sell', 60009.12345678, 0.00010000
    FROM trades WHERE trade_id = '8'`);
  await database.query(
    `UPDATE trades SET time = time + INTERVAL '1001 microseconds' WHERE trade_id = '9'`,
  );
  expect((await run('replay')).stdout).toEqual(['0 stored, 1 known already, 0 refused still']);
  expect((await run('replay')).stdout).toEqual(['0 stored, 0 known already, 0 refused still']);
  expect(await storedTrades(database)).toEqual(trades(1, 20).map(rowOf));
  expect((await run('list')).stdout).toEqual(['no rows in quarantine']);
  expect((await run('list', '--all')).stdout).toHaveLength(3);
});
