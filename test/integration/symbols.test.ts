import { expect, test } from 'vitest';
import { withoutContracts } from '../support/ccxt.ts';
import {
  environmentOf,
  freshDatabase,
  runHyperfeed,
  simulate,
  temporaryFolder,
} from '../support/daemon.ts';

test('symbols lists the markets of an adapter', async () => {
  const sim = await simulate();
  const env = environmentOf({ 'connection.restUrl': sim.exchange.restUrl });
  const all = await runHyperfeed(['symbols', '--exchange', 'binance'], { env });
  expect(all.stdout.map((line) => line.split(/ {2,}/))).toMatchObject([
    ['SYMBOL', 'VENUE SYMBOL', 'STATUS', 'MIN SIZE', 'MAX SIZE', 'PRICE', 'QUANTITY'],
    ['BTC/USDT', 'BTCUSDT', 'active', '0.00001000', '900000.00000000', '2', '5'],
    ['ETH/USDT', 'ETHUSDT', 'active', '0.00010000', '900000.00000000', '2', '4'],
  ]);
  expect(all.stderr.join()).toContain('2 of 2 markets of binance');
  const one = await runHyperfeed(['symbols', '--quote', 'usdt', '--base', 'ETH', '--json'], {
    env,
  });
  expect(one.stdout.map((line) => JSON.parse(line) as object)).toMatchObject([
    { symbol: 'ETH/USDT' },
  ]);
  expect((await runHyperfeed(['symbols', '--base', 'XYZ'], { env })).code).toBe(1);
}, 30_000);

test.each([
  { args: ['record', '--exchange', 'ccxt:kraken', '--out', '/dev/null'], says: 'keeps the frames' },
  { args: ['replay', '--exchange', 'ccxt:kraken', '/dev/null'], says: 'keeps the frames' },
  { args: ['symbols', '--exchange', 'ccxt:krakn'], says: 'nearest: ccxt:kraken' },
])(
  '$args is refused',
  async ({ args, says }) => {
    const { code, stderr } = await runHyperfeed(args);
    expect(stderr.join()).toContain(says);
    expect(code).toBe(2);
  },
  30_000,
);

test.each([
  { exchange: 'ccxt:bitstamp', symbols: 'BTC/USD', says: 'ccxt:bitstamp has no candles' },
  { exchange: 'ccxt:binance', symbols: 'BTC/UST', says: 'nearest: BTC/USDT' },
])(
  'run refuses $symbols of $exchange',
  async ({ exchange, symbols, says }) => {
    const sim = await simulate();
    const database = await freshDatabase();
    const env = environmentOf({
      exchange,
      'connection.restUrl': await withoutContracts(sim.exchange.restUrl),
      'database.url': database.url,
      'redis.enabled': false,
      'http.port': 0,
      'spool.directory': await temporaryFolder(),
    });
    const { code, stderr } = await runHyperfeed(['run', '--symbols', symbols], { env });
    expect(stderr.join()).toContain(says);
    expect(code).toBe(2);
  },
  30_000,
);
