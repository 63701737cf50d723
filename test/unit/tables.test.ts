import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Trade } from '../../src/ingest/events.ts';
import { copyLine, copyTimestamp } from '../../src/writers/copy-text.ts';
import { encodeRow, forEachTrade, rejectionOf } from '../../src/writers/tables.ts';

const TRADE: Trade = {
  type: 'trade',
  exchange: 'binance',
  symbol: 'BTC/USDT',
  time: 1_786_309_548_618_125,
  receivedAt: 0,
  tradeId: '930000001',
  side: 'buy',
  price: '61000.10',
  quantity: '0.500',
};

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('BTC/USDT', 'a\tb', 'a\\b', '\n', '\\N', '币安人生USDT', 'binance'),
);
const time = fc.integer({ min: 1_230_940_800_000_000, max: 4_000_000_000_000_000 });

test('a row of a trade is the line of its cells, whatever they hold and came before', () => {
  const trade = fc.record({ time, symbol: text, exchange: text, tradeId: text });
  fc.assert(
    fc.property(fc.array(trade, { maxLength: 5 }), (trades) => {
      for (const own of trades) {
        const { symbol, exchange, tradeId, side, price, quantity } = { ...TRADE, ...own };
        const cells = [copyTimestamp(own.time), symbol, exchange, tradeId, side, price, quantity];
        expect(encodeRow({ ...TRADE, ...own })).toBe(copyLine(cells));
      }
    }),
    { numRuns: 1_000 },
  );
});

test('and so are rows of candles and order books', () => {
  const stamp = { exchange: 'binance', symbol: 'BTC/USDT', time: TRADE.time, receivedAt: 0 };
  const start = [copyTimestamp(TRADE.time), 'BTC/USDT', 'binance'];
  const prices = { open: '2.0', high: '3', low: '1.50', close: '2', volume: '0' };
  for (const trades of [0, 7, null]) {
    expect(encodeRow({ type: 'candle', ...stamp, ...prices, trades })).toBe(
      copyLine([...start, '2.0', '3', '1.50', '2', '0', trades]),
    );
  }
  expect(
    encodeRow({
      type: 'order_book',
      ...stamp,
      bids: [
        ['1.10', '5'],
        ['1', '0.50'],
      ],
      asks: [],
    }),
  ).toBe(
    copyLine([...start, '[{"price": 1.10, "amount": 5}, {"price": 1, "amount": 0.50}]', '[]']),
  );
});

test('rows read back', () => {
  const seen: unknown[] = [];
  const rows = [TRADE, { ...TRADE, tradeId: 'a-uuid' }, { ...TRADE, symbol: 'ETH/USDT' }];
  forEachTrade(Buffer.from(rows.map(encodeRow).join('')), (...row) => seen.push(row));
  const at = '2026-08-09 21:05:48.618125+00';
  expect(seen).toEqual([
    [at, 'BTC/USDT', '930000001'],
    [at, 'ETH/USDT', '930000001'],
  ]);
});

describe('refuses before the table does', () => {
  test.each<[string, Partial<Trade>]>([
    ['time', { time: NaN }],
    ['time', { time: 0 }],
    ['symbol', { symbol: 'X'.repeat(65) }],
    ['symbol', { symbol: 'A\0B' }],
    ['symbol', { symbol: '\ud800' }],
    ['trade_id', { tradeId: '' }],
    ['trade_id', { tradeId: '1'.repeat(101) }],
    ['trade_id', { tradeId: 'a\0' }],
    ['trade_id', { tradeId: '\udc00' }],
    ...['', '0', '0.000', '-1', '+1', '1.', '.5', '01', '1e5', ' 1', '1\n', 'NaN', '1.2.3'].map(
      (price): [string, Partial<Trade>] => ['number', { price }],
    ),
    ['number', { quantity: '0.0' }],
  ])('%s: %j', (reason, changed) => {
    const trade = { ...TRADE, ...changed };
    expect(rejectionOf(trade)).toBe(reason);
    // What was looked at once is known: it must not pass the second time.
    expect(rejectionOf(trade)).toBe(reason);
  });

  test.each([
    {},
    { tradeId: '20f43950-d8dd-5b31-9112-a178eb6023af' },
    { tradeId: 'a b\t' },
    { symbol: '币安人生/USDT' },
    { price: '0.00000001' },
    { price: `${'9'.repeat(60)}.${'0'.repeat(30)}1` },
  ])('and not %j', (changed) => {
    expect(rejectionOf({ ...TRADE, ...changed })).toBeUndefined();
  });
});
