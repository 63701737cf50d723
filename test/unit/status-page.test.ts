/** What the page knows of the market: while it is watched, to the digit, and no more than it shows. */
import { expect, test } from 'vitest';
import type { Candle, OrderBookSnapshot, Trade } from '../../src/ingest/events.ts';
import { createMarketView } from '../../src/status-page/market-view.ts';

const MINUTE = 60_000_000;
const BEGIN = 29_000_000 * MINUTE;
const stamp = { exchange: 'binance', symbol: 'BTC/USDT', receivedAt: BEGIN };

function trade(id: number, price: string, quantity: string, seconds: number): Trade {
  const time = BEGIN + seconds * 1_000_000;
  return { ...stamp, type: 'trade', tradeId: String(id), side: 'buy', price, quantity, time };
}

function candle(minute: number, close: string): Candle {
  const digits = { open: '1', high: '9', low: '1', close, volume: '0.30', trades: 2 };
  return { ...stamp, type: 'candle', time: BEGIN + minute * MINUTE, ...digits };
}

function book(levels: number): OrderBookSnapshot {
  const side = Array.from({ length: levels }, (_, index) => [`${index + 1}.10`, '1.0'] as const);
  return { ...stamp, type: 'order_book', time: BEGIN, bids: side, asks: side };
}

test('the open candle is exact: of the trades of its minute that were seen', () => {
  const view = createMarketView(['BTC/USDT']);
  view.watch();
  view.seen(trade(1, '9.90', '0.1', 1));
  view.seen(trade(2, '10.05', '0.20', 2));
  view.seen(trade(3, '9.80', '0.0000000000000000001', 3));
  view.seen(trade(4, '9.85', '12345678901234567890', 4));
  expect(view.present('BTC/USDT').candle).toEqual({
    timeMs: BEGIN / 1000,
    open: '9.90',
    high: '10.05',
    low: '9.80',
    close: '9.85',
    volume: '12345678901234567890.3000000000000000001',
  });
  view.seen(trade(5, '7', '2', 61));
  // Of the minute before: too late to be seen here.
  view.seen(trade(6, '6', '2', 59));
  expect(view.present('BTC/USDT').candle).toMatchObject({ open: '7', low: '7', volume: '2' });
});

test('closed candles: in order, corrected in place, the newest hundred and twenty', () => {
  const view = createMarketView(['BTC/USDT']);
  for (const minute of [2, 0, 3, 1]) view.recorded(candle(minute, '1'));
  view.recorded(candle(1, '2'));
  const { candles } = view.closed('BTC/USDT');
  expect(candles.map(({ timeMs, close }) => [(timeMs * 1000 - BEGIN) / MINUTE, close])).toEqual([
    [0, '1'],
    [1, '2'],
    [2, '1'],
    [3, '1'],
  ]);
  for (let minute = 4; minute < 500; minute++) view.recorded(candle(minute, '1'));
  expect(view.closed('BTC/USDT').candles).toHaveLength(120);
  expect(view.lastCandle('BTC/USDT')?.time).toBe(BEGIN + 499 * MINUTE);
});

test('so many trades and levels as are shown, the newest and the best', () => {
  const view = createMarketView(['BTC/USDT']);
  view.watch();
  for (let id = 1; id <= 1000; id++) view.seen(trade(id, '1', '1', 0));
  view.seen(book(500));
  const { trades, book: shown } = view.present('BTC/USDT');
  expect(trades.map(({ id }) => Number(id))).toEqual(
    Array.from({ length: 20 }, (_, i) => 1000 - i),
  );
  expect([shown?.bids.length, shown?.asks.length]).toEqual([20, 20]);
  expect(shown?.bids[0]).toEqual(['1.10', '1.0']);
});

test('unwatched it keeps closed candles alone; what it knew of the rest is gone', () => {
  const view = createMarketView(['BTC/USDT']);
  const see = () => {
    view.seen(trade(1, '1', '1', 0));
    view.seen(book(1));
    view.recorded(trade(1, '1', '1', 0));
  };
  const nothing = { symbol: 'BTC/USDT', trades: [], candle: undefined, book: undefined };
  const before = view.versions('BTC/USDT');
  see();
  expect(view.present('BTC/USDT')).toEqual(nothing);
  expect(view.rows('trade', 'BTC/USDT')).toBe(0);
  expect(view.versions('BTC/USDT')).toEqual(before);
  view.watch();
  see();
  view.recorded(candle(0, '1'));
  expect(view.present('BTC/USDT').trades).toHaveLength(1);
  expect(view.rows('trade', 'BTC/USDT')).toBe(1);
  view.unwatch();
  see();
  expect(view.present('BTC/USDT')).toEqual(nothing);
  expect(view.rows('trade', 'BTC/USDT')).toBe(0);
  expect(view.closed('BTC/USDT').candles).toHaveLength(1);
});

test('a symbol that is not streamed is not kept', () => {
  const view = createMarketView(['BTC/USDT']);
  view.watch();
  view.seen({ ...trade(1, '1', '1', 0), symbol: 'ETH/USDT' });
  view.recorded({ ...candle(0, '1'), symbol: 'ETH/USDT' });
  expect(view.knows('ETH/USDT')).toBe(false);
  expect(view.present('ETH/USDT').trades).toEqual([]);
  expect(view.closed('ETH/USDT').candles).toEqual([]);
});
