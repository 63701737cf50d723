/** `verify`: what is stored against the exchange's REST, as a user runs it; the exchange is simulated. */
import { expect, test } from 'vitest';
import { runHyperfeed, storedTrades } from '../support/daemon.ts';
import { BTC, startPast } from '../support/history.ts';
import { waitFor } from '../support/stack.ts';

test('the same: exit 0, and how much was compared', async () => {
  const { backfill, verify, database, env } = await startPast();
  await backfill('--trades');
  const { code, stderr, lines, summary } = await verify('--trades');
  expect([code, stderr]).toEqual([0, []]);
  expect(summary).toMatchObject({ type: 'summary', same: true, missing: 0, mend: null });
  const days = lines.filter(({ type }) => type === 'day');
  const sum = (channel: string) =>
    days.filter((d) => d['channel'] === channel).reduce((n, d) => n + Number(d['stored']), 0);
  expect(sum('trades')).toBe((await storedTrades(database)).length);
  expect(sum('candles')).toBeGreaterThan(55);
  const text = await runHyperfeed(['verify', '--from', '5d ago', '--to', '10m ago'], { env });
  expect([text.code, text.stdout.at(-1)]).toEqual([0, 'the same']);
});

test('every kind of difference, by row and column; backfill mends what it can', async () => {
  const { backfill, verify, database, env } = await startPast();
  await backfill('--trades');
  const [first, second, third, fourth, fifth] = await storedTrades(database);
  const [, firstId = ''] = first ?? [];
  const candles = await database.query<{ at: string; close: string }>(
    `SELECT to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at, close::text FROM market_data ORDER BY time`,
  );
  const at = (i: number) => candles[i]?.at ?? '';
  await database.query(`DELETE FROM trades WHERE trade_id = $1`, [second?.[1]]);
  await database.query(`UPDATE trades SET price = price + 1, side = 'sell' WHERE trade_id = $1`, [
    third?.[1],
  ]);
  await database.query(`UPDATE trades SET side = 'buy' WHERE trade_id = $1`, [fourth?.[1]]);
  await database.query(
    `UPDATE trades SET time = time + interval '1 microsecond' WHERE trade_id = $1`,
    [fifth?.[1]],
  );
  await database.query(
    `INSERT INTO trades SELECT time, symbol, exchange, '999999999', side, price, quantity FROM trades WHERE trade_id = $1`,
    [firstId],
  );
  await database.query(`DELETE FROM market_data WHERE time = $1`, [at(3)]);
  await database.query(`UPDATE market_data SET close = 7.50 WHERE time = $1`, [at(5)]);
  await database.query(
    `INSERT INTO market_data SELECT time - interval '1 day', symbol, exchange, open, high, low, close, volume, trades
       FROM market_data WHERE time = $1`,
    [at(0)],
  );

  const { code, lines, summary } = await verify('--trades');
  expect(code).toBe(1);
  const found = lines.filter(({ type }) => type !== 'day' && type !== 'summary');
  const of = (channel: string) => ({ exchange: 'binance', channel, symbol: BTC });
  const price = third?.[3] ?? '';
  const dearer = String(Number(price.split('.')[0]) + 1) + price.slice(price.indexOf('.'));
  const expected = [
    {
      ...of('candles'),
      type: 'extra',
      time: new Date(Date.parse(at(0)) - 86_400_000).toJSON().replace('.000', ''),
    },
    { ...of('candles'), type: 'missing', time: at(3) },
    {
      ...of('candles'),
      type: 'different',
      time: at(5),
      columns: { close: ['7.50', candles[5]?.close] },
    },
    expect.objectContaining({ ...of('trades'), type: 'missing', id: second?.[1] }),
    expect.objectContaining({
      type: 'different',
      id: third?.[1],
      columns: {
        ...(third?.[2] === 'buy' && { side: ['sell', 'buy'] }),
        price: [dearer, price],
      },
    }),
    ...(fourth?.[2] === 'sell'
      ? [
          expect.objectContaining({
            type: 'different',
            id: fourth[1],
            columns: { side: ['buy', 'sell'] },
          }),
        ]
      : []),
    expect.objectContaining({
      type: 'different',
      id: fifth?.[1],
      columns: {
        time: [
          fifth?.[5].replace(/000Z$/, '001Z'),
          fifth?.[5].replace(/0+Z$/, 'Z').replace('.Z', 'Z'),
        ],
      },
    }),
    expect.objectContaining({ ...of('trades'), type: 'extra', id: '999999999' }),
  ];
  expect(found).toHaveLength(expected.length);
  expect(found).toEqual(expect.arrayContaining(expected));
  expect(summary).toMatchObject({ same: false, missing: 2, extra: 2 });

  const mend = String(summary?.['mend']);
  expect(mend).toMatch(
    /^hyperfeed backfill --exchange binance --symbols BTC\/USDT --from .*--trades/,
  );
  expect((await runHyperfeed(mend.split(' ').slice(1), { env })).code).toBe(0);
  const after = await verify('--trades');
  expect(after.code).toBe(1);
  // What was seen is never deleted, and trades do not change.
  expect(after.summary).toMatchObject({ missing: 0, extra: 2, mend: null });
  const text = await runHyperfeed(['verify', '--from', '5d ago', '--trades'], { env });
  const said = text.stdout.join('\n');
  expect(said).toMatch(/^DAY +SYMBOL +CHANNEL +THEIRS +STORED +MISSING +EXTRA +DIFFERENT$/m);
  expect(said).toContain(`id ${third?.[1]}: `);
  expect(said).toContain(`price: stored ${dearer}, theirs ${price}`);
  expect(said).toContain('trades that differ are left alone');
});

test('nothing stored: all is missing, a few are named; faults of the exchange are waited out; Ctrl-C', async () => {
  const { verify, env, simulation } = await startPast();
  simulation.failRequests(1, 500);
  const { code, summary } = await verify('--trades', '--no-candles');
  expect(code).toBe(1);
  expect(Number(summary?.['missing'])).toBeGreaterThan(250);
  const text = await runHyperfeed(['verify', '--from', '5d ago'], { env });
  expect(text.stdout.filter((line) => line.endsWith(': missing'))).toHaveLength(20);
  expect(text.stdout.join('\n')).toMatch(
    /and \d+ more; --json has all\nto mend it: hyperfeed backfill/,
  );

  const long = await startPast(5_000);
  const running = long.startVerify('--trades', '--no-candles');
  await waitFor(() => running.stdout.length > 100, { what: 'it to be at work' });
  running.kill('SIGINT');
  expect(await running.ended).toEqual({ code: 1, signal: null });
  expect(JSON.parse(running.stdout.at(-1) ?? '')).toMatchObject({ same: false, interrupted: true });
});

test('without a history, or a market: exit 2, and why', async () => {
  const { verify } = await startPast(1);
  const okx = await verify('-e', 'okx', '--trades');
  expect([okx.code, okx.stderr.join()]).toEqual([2, expect.stringContaining('trades: none')]);
  expect((await verify('-s', 'BTC/USDX')).stderr.join()).toContain('nearest: BTC/USDT');
});
