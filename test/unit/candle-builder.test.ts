import { isDeepStrictEqual as isEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DecodedCandle, DecodedTrade } from '../../src/ingest/adapter.ts';
import { createCandleBuilder } from '../../src/ingest/candle-builder.ts';
import { MINUTE, minuteOf } from '../../src/ingest/minutes.ts';

const START = 1_700_000_040_000_000;
const GRACE = 2_000_000;
const MARKET = 'BTC-USD';

function trade(id: number, seconds: number, price = '1', quantity = '1'): DecodedTrade {
  const time = START + Math.round(seconds * 1e6);
  return {
    kind: 'trade',
    venueSymbol: MARKET,
    tradeId: String(id),
    side: 'buy',
    price,
    quantity,
    time,
  };
}

function builderOf(contiguousIds = true) {
  const closed: { candle: DecodedCandle; whole: boolean }[] = [];
  const unknown: [from: number, to: number][] = [];
  const builder = createCandleBuilder({
    grace: GRACE,
    contiguousIds,
    closed: (candle, whole) => closed.push({ candle, whole }),
    unknown: (_, from, to) => unknown.push([(from - START) / MINUTE, (to - START) / MINUTE]),
  });
  /** As the source would: the clock goes on with the trades. */
  const feed = (...trades: DecodedTrade[]) => {
    for (const one of trades) {
      builder.advance(one.time);
      builder.trade(one);
    }
  };
  const until = (seconds: number) => builder.advance(START + seconds * 1e6);
  const minutes = () =>
    closed.map(({ candle, whole }) => [(candle.time - START) / MINUTE, candle.trades, whole]);
  return { builder, closed, unknown, feed, until, minutes };
}

describe('a candle made of trades', () => {
  test('is exact: digits, order, sum', () => {
    const { feed, until, closed } = builderOf();
    feed(
      trade(1, -1),
      trade(2, 0, '10.50', '0.1'),
      trade(3, 1, '9.99', '0.20'),
      trade(4, 2, '10.500', '12345678901234567890.00000001'),
      trade(5, 59, '10', '3'),
    );
    until(61.9);
    expect(closed.length).toBe(1);
    until(62);
    expect(closed[1]).toEqual({
      whole: true,
      candle: {
        kind: 'candle',
        venueSymbol: MARKET,
        time: START,
        open: '10.50',
        high: '10.50',
        low: '9.99',
        close: '10',
        volume: '12345678901234567893.30000001',
        trades: 4,
        closed: true,
      },
    });
  });

  test('takes late trades within the grace, in their order, and each trade once', () => {
    const { feed, until, closed, minutes } = builderOf();
    feed(trade(1, -1), trade(2, 59, '2'), trade(4, 60.5, '4'));
    // A hole is seen at 4, filled a moment later: what was said of it holds, history tells.
    feed(trade(3, 59.9, '3'), trade(3, 59.9, '3'), trade(4, 60.5, '4'));
    until(62);
    expect(closed[1]?.candle).toMatchObject({ open: '2', close: '3', volume: '2', trades: 2 });
    expect(minutes()).toEqual([
      [-1, 1, false],
      [0, 2, false],
    ]);
  });

  test('is not whole in the first minute, which the history has to give', () => {
    const { feed, until, minutes, unknown } = builderOf();
    feed(trade(7, 30), trade(8, 61), trade(9, 121));
    until(190);
    expect(minutes()).toEqual([
      [0, 1, false],
      [1, 1, true],
      [2, 1, true],
    ]);
    expect(unknown).toEqual([[0, 0]]);
  });

  test('is not whole after a hole in the ids, nor are the minutes around it', () => {
    const { feed, until, minutes, unknown } = builderOf();
    feed(trade(1, -1), trade(2, 10), trade(5, 250), trade(6, 300));
    until(400);
    expect(minutes()).toEqual([
      [-1, 1, false],
      [0, 1, true],
      [4, 1, false],
      [5, 1, true],
    ]);
    // What was emitted as whole before the hole was seen is asked for as well.
    expect(unknown).toEqual([
      [-1, -1],
      [0, 4],
    ]);
  });

  test('is not whole if the trades are interrupted when it ends', () => {
    const { builder, feed, until, minutes, unknown } = builderOf();
    feed(trade(1, -1), trade(2, 10));
    builder.interrupted(MARKET);
    until(70);
    expect(minutes()[1]).toEqual([0, 1, false]);
    // Nothing was lost: the ids go on.
    feed(trade(3, 130), trade(4, 190));
    until(260);
    expect(minutes().slice(2)).toEqual([
      [2, 1, true],
      [3, 1, true],
    ]);
    expect(unknown).toEqual([[-1, -1]]);
  });

  test('without ids that count, an interruption costs all minutes it touches', () => {
    const { builder, feed, until, minutes, unknown } = builderOf(false);
    feed(trade(10, -1), trade(11, 10), trade(99, 20));
    until(60);
    builder.interrupted(MARKET);
    feed(trade(3, 130), trade(4, 190));
    until(260);
    expect(minutes()).toEqual([
      [-1, 1, false],
      [0, 2, false],
      [2, 1, false],
      [3, 1, true],
    ]);
    expect(unknown).toEqual([
      [-1, -1],
      [0, 2],
    ]);
  });

  test('that is closed sends a late trade to the history', () => {
    const { feed, until, unknown, minutes } = builderOf(false);
    feed(trade(1, -1), trade(2, 10));
    until(70);
    feed(trade(3, 20));
    expect(minutes().length).toBe(2);
    expect(unknown).toEqual([
      [-1, -1],
      [0, 0],
    ]);
  });
});

interface Made {
  readonly trade: DecodedTrade;
  readonly price: number;
  readonly quantity: number;
}

/** Trades as an exchange makes them; prices in cents, quantities in 1e-8. */
const history = fc
  .array(
    fc.record({
      pause: fc.oneof(fc.nat(3_000_000), fc.nat(200_000_000)),
      price: fc.integer({ min: 1, max: 10_000_000 }),
      quantity: fc.integer({ min: 1, max: 2_000_000_000 }),
    }),
    { minLength: 1, maxLength: 60 },
  )
  .map((rows) => {
    let time = START;
    return rows.map(({ pause, price, quantity }, i): Made => {
      time += pause;
      const seconds = (time - START) / 1e6;
      const text = (value: number, digits: number) => (value / 10 ** digits).toFixed(digits);
      return { price, quantity, trade: trade(i + 1, seconds, text(price, 2), text(quantity, 8)) };
    });
  });

function modelOf(made: readonly Made[]) {
  return [...Map.groupBy(made, ({ trade: { time } }) => minuteOf(time))].map(([time, of]) => ({
    time,
    open: of[0]?.price,
    close: of.at(-1)?.price,
    high: Math.max(...of.map(({ price }) => price)),
    low: Math.min(...of.map(({ price }) => price)),
    volume: of.reduce((sum, { quantity }) => sum + quantity, 0),
    trades: of.length,
  }));
}

function numbersOf(candle: DecodedCandle) {
  const { time, open, high, low, close, volume, trades } = candle;
  const cents = (text: string) => Number(text.replace('.', ''));
  const prices = { open: cents(open), high: cents(high), low: cents(low), close: cents(close) };
  return { time, ...prices, volume: cents(volume), trades };
}

describe('against a plain model', () => {
  test('with every trade received once or more, within the grace, all but the first are right', () => {
    fc.assert(
      fc.property(history, fc.boolean(), fc.array(fc.nat()), (made, contiguousIds, again) => {
        const { builder, closed } = builderOf(contiguousIds);
        const seen: DecodedTrade[] = [];
        made.forEach(({ trade: one }, i) => {
          builder.advance(one.time);
          builder.trade(one);
          seen.push(one);
          // Two connections at once: what came may come again, within the grace.
          const repeated = seen[(again[i] ?? 0) % seen.length];
          if (repeated && one.time - repeated.time < GRACE) builder.trade(repeated);
        });
        builder.advance(Infinity);
        const byTime = closed.map(({ candle }) => numbersOf(candle));
        expect(byTime).toEqual(modelOf(made));
        expect(closed.map(({ whole }) => whole)).toEqual(byTime.map((_, i) => i > 0));
      }),
    );
  });

  test('whatever is lost and cut, a candle that is wrong is not whole or is reported', () => {
    fc.assert(
      fc.property(
        history,
        fc.boolean(),
        fc.array(fc.record({ at: fc.nat(60), count: fc.integer({ min: 1, max: 10 }) })),
        (made, contiguousIds, cuts) => {
          const { builder, closed, unknown } = builderOf(contiguousIds);
          const lost = new Set(
            cuts.flatMap(({ at, count }) => Array.from({ length: count }, (_, i) => at + i)),
          );
          made.forEach(({ trade: one }, i) => {
            builder.advance(one.time);
            if (!lost.has(i)) builder.trade(one);
            else if (!contiguousIds) builder.interrupted(MARKET);
          });
          builder.advance(Infinity);
          const reported = (time: number) =>
            unknown.some(
              ([from, to]) => from * MINUTE <= time - START && time - START <= to * MINUTE,
            );
          const model = new Map(modelOf(made).map((candle) => [candle.time, candle]));
          const wrong = closed.filter(({ candle, whole }) => {
            const right = isEqual(numbersOf(candle), model.get(candle.time));
            return whole && !right && !reported(candle.time) && !isTail(made, lost, candle.time);
          });
          // A minute of which nothing came is reported too, once something came after it.
          const received = made.filter((_, i) => !lost.has(i)).map((one) => one.trade.time);
          const missing = [...model.keys()].filter(
            (time) =>
              time >= minuteOf(received[0] ?? Infinity) &&
              time <= (received.at(-1) ?? -Infinity) &&
              !closed.some(({ candle }) => candle.time === time) &&
              !reported(time),
          );
          expect({ wrong, missing }).toEqual({ wrong: [], missing: [] });
        },
      ),
    );
  });
});

/** Nothing that was received came after what this minute lost. */
function isTail(made: readonly Made[], lost: ReadonlySet<number>, minute: number): boolean {
  const lastReceived = made.findLastIndex((_, i) => !lost.has(i));
  return made.every(
    ({ trade: { time } }, i) => !lost.has(i) || minuteOf(time) !== minute || i > lastReceived,
  );
}
