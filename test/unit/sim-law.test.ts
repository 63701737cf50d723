import { describe, expect, test } from 'vitest';
import { createArrivals } from '../../src/sim/arrivals.ts';
import { createSimCandles } from '../../src/sim/candles.ts';
import { formatUnits, instrumentOf } from '../../src/sim/instrument.ts';
import { createSimOrderBook } from '../../src/sim/order-book.ts';
import { createTradeLaw } from '../../src/sim/trade-law.ts';
import { createTradeTimes } from '../../src/sim/trade-times.ts';

const btc = instrumentOf('BTC/USDT');
const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

describe('trade law', () => {
  test('a trade depends on seed, symbol and id alone', () => {
    const law = createTradeLaw(7, btc);
    const forwards = range(1_000_000, 500).map((id) => law.trade(id));
    const again = createTradeLaw(7, btc);
    const backwards = range(1_000_000, 500)
      .toReversed()
      .map((id) => again.trade(id));
    expect(backwards.toReversed()).toEqual(forwards);
    // The digits themselves, so that a change of the law does not go unnoticed.
    expect(forwards.slice(0, 2)).toMatchInlineSnapshot(`
      [
        {
          "group": {
            "aggregateId": 500000,
            "firstId": 1000000,
            "lastId": 1000000,
          },
          "id": 1000000,
          "lots": 2,
          "takerSells": false,
          "ticks": 6336376,
        },
        {
          "group": {
            "aggregateId": 500001,
            "firstId": 1000001,
            "lastId": 1000003,
          },
          "id": 1000001,
          "lots": 20530,
          "takerSells": false,
          "ticks": 6336353,
        },
      ]
    `);
    const otherSeed = createTradeLaw(8, btc);
    const otherSymbol = createTradeLaw(7, { ...btc, symbol: 'BTC/USDC' });
    for (const other of [otherSeed, otherSymbol]) {
      expect(range(1_000_000, 500).map((id) => other.trade(id))).not.toEqual(forwards);
    }
  });

  test.each(['BTC/USDT', 'ETH/USDT', 'XRP/USDT', 'FOO/BAR'])(
    '%s is a plausible market',
    (symbol) => {
      const instrument = instrumentOf(symbol);
      const law = createTradeLaw(1, instrument);
      let sells = 0;
      let moves = 0;
      for (const id of range(50_000_000, 20_000)) {
        const trade = law.trade(id);
        const { bid, ask } = law.touch(id);
        expect(trade.ticks).toBe(trade.takerSells ? bid : ask);
        expect(bid).toBeLessThan(ask);
        expect(trade.lots).toBeGreaterThan(0);
        expect(Math.abs(trade.ticks / instrument.startTicks - 1)).toBeLessThan(0.05);
        sells += Number(trade.takerSells);
        moves += Number(law.trade(id + 1).ticks !== trade.ticks);
      }
      expect(sells / 20_000).toBeCloseTo(0.5, 1);
      expect(moves).toBeGreaterThan(5_000);
    },
  );

  test('ids fall into orders of one to three fills without holes', () => {
    const law = createTradeLaw(3, btc);
    let expected = law.groupOf(4_000);
    for (let id = 4_000; id < 8_000; id = expected.lastId + 1) {
      expected = law.groupOf(id);
      expect(expected.firstId).toBe(id);
      expect(law.groupAt(expected.aggregateId)).toEqual(expected);
      expect(law.groupOf(expected.lastId)).toEqual(expected);
      expect(law.groupOf(expected.lastId + 1).aggregateId).toBe(expected.aggregateId + 1);
    }
  });
});

test('units are written with eight decimals', () => {
  expect(formatUnits(6_412_350, 2)).toBe('64123.50000000');
  expect(formatUnits(7, 5)).toBe('0.00007000');
  expect(formatUnits(0, 2)).toBe('0.00000000');
  expect(formatUnits(123_456_789_012_345_678_901n, 7)).toBe('12345678901234.56789010');
});

test('trade times are found by id and by time', () => {
  const times = createTradeTimes(100);
  for (const time of [1000, 1000, 1005, 1005, 1005, 1020]) times.append(time);
  expect(range(100, 6).map((id) => times.timeOf(id))).toEqual([1000, 1000, 1005, 1005, 1005, 1020]);
  expect([999, 1000, 1001, 1005, 1020, 1021].map((time) => times.firstIdAt(time))).toEqual([
    100, 100, 102, 102, 105, 106,
  ]);
  expect(() => times.timeOf(106)).toThrow(RangeError);
  expect(() => times.timeOf(99)).toThrow(RangeError);
});

test('candles have no holes, and empty ones are flat at the last price', () => {
  const law = createTradeLaw(1, btc);
  const candles = createSimCandles(1000, 5_400, 777);
  candles.add(law.trade(1));
  const ended = candles.roll(8_000);
  expect(ended.map((c) => [c.openTime, c.closeTime, c.trades])).toEqual([
    [5000, 5999, 1],
    [6000, 6999, 0],
    [7000, 7999, 0],
  ]);
  const close = ended[0]?.close;
  expect(ended[1]).toMatchObject({ open: close, high: close, low: close, close, firstId: -1 });
  expect(candles.roll(8_999)).toEqual([]);
  const openTimes = (from: number, to: number) => candles.between(from, to).map((c) => c.openTime);
  expect(openTimes(0, Infinity)).toEqual([5000, 6000, 7000, 8000]);
  expect(openTimes(5001, 7000)).toEqual([6000, 7000]);
  expect(openTimes(0, 4000)).toEqual([]);
});

test('the book holds its size, is never crossed, and its diffs make it again', () => {
  const law = createTradeLaw(1, btc);
  const book = createSimOrderBook({ law, instrument: btc, levels: 50, firstUpdateId: 11 });
  const diffs = book.openWindow();
  const replica = { bids: new Map<number, number>(), asks: new Map<number, number>() };
  let last = 10;
  let deletes = 0;
  for (const step of range(0, 300)) {
    book.advance(1_000_000 + step * 3, step);
    const diff = diffs.take();
    if (diff === null) continue;
    expect(diff.firstUpdateId).toBe(last + 1);
    last = diff.lastUpdateId;
    for (const side of ['bids', 'asks'] as const) {
      for (const [ticks, lots] of diff[side]) {
        if (lots > 0) replica[side].set(ticks, lots);
        else deletes += Number(replica[side].delete(ticks));
      }
    }
    const { bids, asks, lastUpdateId } = book.snapshot(5000);
    expect(lastUpdateId).toBe(last);
    expect(bids).toHaveLength(50);
    expect(asks).toHaveLength(50);
    expect([bids[0]?.[0], asks[0]?.[0]]).toEqual(Object.values(law.touch(1_000_000 + step * 3)));
    expect(new Map(bids)).toEqual(replica.bids);
    expect(new Map(asks)).toEqual(replica.asks);
  }
  expect(deletes).toBeGreaterThan(1000);
  expect(diffs.take()).toBeNull();
});

test('arrivals are clustered, yet their mean is the rate', () => {
  for (const kind of ['clustered', 'steady'] as const) {
    const arrivals = createArrivals({ seed: 1, kind, now: 640_000 });
    let count = 0;
    const perWindow: number[] = [];
    for (let time = 640_000; time < 640_000 + 64_000; time += 10) {
      const before = count;
      arrivals.advance(time + 10, 1000);
      while (arrivals.take(1)) count += 1;
      const window = Math.floor((time + 10 - 640_000) / 160);
      perWindow[window] = (perWindow[window] ?? 0) + count - before;
    }
    expect(count).toBeGreaterThan(63_900);
    expect(count).toBeLessThan(64_100);
    const busiest = Math.max(...perWindow);
    expect(busiest > 300).toBe(kind === 'clustered');
  }
});
