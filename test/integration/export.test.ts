/** `export`: tables as CSV, as a user runs it, on a real server. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { hyperfeed, runHyperfeed, runProgram, temporaryFolder } from '../support/daemon.ts';
import { migratedDatabase } from '../support/history.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';

const DAY = '2026-01-31';

async function startStored() {
  const database = await migratedDatabase();
  await database.query(
    `INSERT INTO symbols (symbol, exchange, base_currency, quote_currency)
     SELECT s, e, split_part(s, '/', 1), split_part(s, '/', 2)
       FROM unnest(ARRAY['BTC/USDT', 'ETH/USDT', 'a"b,c/USDT']) AS s, unnest(ARRAY['binance', 'coinbase-exchange']) AS e`,
  );
  const env = { DATABASE_URL: database.url };
  const run = (...flags: string[]) => runHyperfeed(['export', ...flags], { env });
  const folder = await temporaryFolder();
  return { database, env, run, folder };
}

const trade = (database: TestDatabase, time: string, more: Record<string, string> = {}) =>
  database.query('INSERT INTO trades VALUES ($1, $2, $3, $4, $5, $6, $7)', [
    time,
    more['symbol'] ?? 'BTC/USDT',
    more['exchange'] ?? 'binance',
    more['id'] ?? '1',
    'buy',
    more['price'] ?? '61837.63000000',
    more['quantity'] ?? '0.00000001',
  ]);

/** Most of the rows of a table that a server sends for a while. */
const fill = (database: TestDatabase, rows: number) =>
  database.query(
    `INSERT INTO trades SELECT TIMESTAMPTZ '${DAY} 00:00:00+00' + n * interval '1 millisecond',
       'BTC/USDT', 'binance', n::text, 'buy', 61837.63000000, 0.00000001 FROM generate_series(1, $1) AS n`,
    [rows],
  );

test('every digit and microsecond, in the order of time; quoted where it must be', async () => {
  const { database, run } = await startStored();
  await trade(database, `${DAY} 08:00:00.000001+02`, { id: '10', price: '0.10' });
  await trade(database, `${DAY} 05:00:00+00`, {
    id: '9',
    symbol: 'a"b,c/USDT',
    quantity: '123456789012345678901234567890.123456789012345678901234567890',
  });
  await trade(database, `${DAY} 08:00:00.000001+02`, { id: '9' });
  const { code, stdout, stderr } = await run('trades');
  expect([code, stderr]).toEqual([0, []]);
  expect(stdout).toEqual([
    'time,symbol,exchange,trade_id,side,price,quantity',
    `${DAY}T05:00:00.000000Z,"a""b,c/USDT",binance,9,buy,61837.63000000,123456789012345678901234567890.123456789012345678901234567890`,
    `${DAY}T06:00:00.000001Z,BTC/USDT,binance,9,buy,61837.63000000,0.00000001`,
    `${DAY}T06:00:00.000001Z,BTC/USDT,binance,10,buy,0.10,0.00000001`,
  ]);
});

test('books are JSON with their digits, an unknown count is empty, and the server’s settings change nothing', async () => {
  const { database, run } = await startStored();
  await database.query(`ALTER DATABASE "${database.name}" SET timezone = 'Asia/Tokyo'`);
  await database.query(`ALTER DATABASE "${database.name}" SET datestyle = 'SQL, DMY'`);
  await database.query(
    `INSERT INTO order_book VALUES ('${DAY} 00:00:00.5+00', 'BTC/USDT', 'binance', '[{"price": 1.10, "amount": 2.00}]', '[]')`,
  );
  await database.query(
    `INSERT INTO market_data VALUES ('${DAY} 00:01:00+00', 'BTC/USDT', 'binance', 1.0, 2.00, 0.5, 1.50, 0, NULL)`,
  );
  expect((await run('order_book')).stdout[1]).toBe(
    `${DAY}T00:00:00.500000Z,BTC/USDT,binance,"[{""price"": 1.10, ""amount"": 2.00}]",[]`,
  );
  expect((await run('market_data')).stdout[1]).toBe(
    `${DAY}T00:01:00.000000Z,BTC/USDT,binance,1.0,2.00,0.5,1.50,0,`,
  );
  expect((await run('market_candles')).stdout[1]).toBe(
    `${DAY}T00:01:00.000000Z,BTC/USDT,binance,1m,1.0,2.00,0.5,1.50,0,`,
  );
});

test('a range of time, an exchange by any of its names, some symbols', async () => {
  const { database, run } = await startStored();
  for (const [hour, exchange, symbol] of [
    ['00', 'binance', 'BTC/USDT'],
    ['01', 'binance', 'BTC/USDT'],
    ['01', 'binance', 'ETH/USDT'],
    ['01', 'coinbase-exchange', 'BTC/USDT'],
    ['02', 'binance', 'BTC/USDT'],
  ] as const) {
    await trade(database, `${DAY} ${hour}:00:00+00`, { exchange, symbol });
  }
  const found = async (...flags: string[]) =>
    (await run('trades', ...flags)).stdout
      .slice(1)
      .map((line) => line.split(',').slice(0, 3).join(' ').slice(11, 13) + line.split(',')[1]?.[0]);
  expect(await found('--from', `${DAY}T01:00:00Z`, '--to', `${DAY}T02:00Z`)).toEqual([
    '01B',
    '01E',
    '01B',
  ]);
  expect(await found('-e', 'coinbase')).toEqual(['01B']);
  expect(await found('-e', 'binance', '-s', 'ETH/USDT')).toEqual(['01E']);
  expect(await found('--from', `${DAY}T03:00:00+01:00`)).toEqual(['02B']);
  expect(await found('--to', DAY)).toEqual([]);
});

test('into a file, compressed or not: whole, in the place of a former one', async () => {
  const { database, run, folder } = await startStored();
  await fill(database, 5_000);
  const { stdout } = await run('trades');
  const [plain, zipped] = [join(folder, 'trades.csv'), join(folder, 'trades.csv.gz')];
  await writeFile(plain, 'a former one');
  expect((await run('trades', '-o', plain)).stderr).toEqual([`5000 rows of trades in ${plain}`]);
  expect((await run('trades', '-o', zipped, '--json')).stdout).toEqual([
    JSON.stringify({ table: 'trades', file: zipped, rows: 5_000 }),
  ]);
  const text = `${stdout.join('\n')}\n`;
  expect(await readFile(plain, 'utf8')).toBe(text);
  expect(gunzipSync(await readFile(zipped)).toString()).toBe(text);
  expect((await readdir(folder)).toSorted()).toEqual(['trades.csv', 'trades.csv.gz']);
});

test('interrupted, or cut off by the server: no file, and the former one stays', async () => {
  const { database, env, folder } = await startStored();
  await fill(database, 400_000);
  const file = join(folder, 'trades.csv');
  await writeFile(file, 'a former one');
  const start = async () => {
    const child = hyperfeed(['export', 'trades', '-o', file], { env });
    await waitFor(async () => (await readdir(folder)).length === 2, { what: 'it to be written' });
    return child;
  };
  const stopped = await start();
  stopped.kill('SIGINT');
  expect(await stopped.ended).toEqual({ code: 1, signal: null });
  expect(stopped.stderr).toEqual([`interrupted: nothing is written to ${file}`]);
  expect(await readdir(folder)).toEqual(['trades.csv']);

  const cut = await start();
  await database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hyperfeed export'`,
  );
  expect(await cut.ended).toEqual({ code: 1, signal: null });
  expect(cut.stderr.join()).toMatch(/^hyperfeed: .*termin/i);
  expect(await readdir(folder)).toEqual(['trades.csv']);
  expect(await readFile(file, 'utf8')).toBe('a former one');
});

test('a reader that has seen enough ends it; a disk that takes no more, or no folder, is said', async () => {
  const { database, env, run, folder } = await startStored();
  await fill(database, 100_000);
  const head = hyperfeed(['export', 'trades'], { env });
  await waitFor(() => head.stdout.length > 1, { what: 'rows' });
  head.hangUp();
  expect(await head.ended).toEqual({ code: 0, signal: null });
  const file = join(folder, 'trades.csv');
  // The limit of a file's size, 512 KB, in place of that of a disk.
  const limited = `trap '' XFSZ; ulimit -f 512; exec bin/hyperfeed.js export trades -o ${file}`;
  const full = await runProgram('bash', ['-c', limited], { env });
  expect([full.code, full.stderr.join()]).toEqual([1, expect.stringContaining('EFBIG')]);
  expect(await readdir(folder)).toEqual([]);
  const nowhere = await run('trades', '-o', '/nowhere/x.csv');
  expect([nowhere.code, nowhere.stderr.join()]).toEqual([
    1,
    expect.stringContaining('/nowhere/x.csv cannot be written: ENOENT'),
  ]);
});

test('what is no table of ours, or has no such column: exit 2, and what there is', async () => {
  const { run } = await startStored();
  for (const [flags, said] of [
    [['trade'], 'nearest: trades'],
    [['users'], 'users is none of market_data,'],
    [['system_logs', '-s', 'BTC/USDT'], 'system_logs has no column symbol'],
    [['trades', '--from', 'soon'], 'soon is no time'],
    [['trades', '--from', DAY, '--to', DAY], 'is not before'],
    [['trades', '--json'], '--out'],
    [['trades', '--format', 'parquet'], 'csv'],
  ] as const) {
    const { code, stdout, stderr } = await run(...flags);
    expect([code, stdout, stderr.join()]).toEqual([2, [], expect.stringContaining(said)]);
  }
});
