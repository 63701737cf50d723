import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DecodedCandle } from '../../src/ingest/adapter.ts';
import { createCandleCloser } from '../../src/ingest/candle-closer.ts';
import { MINUTE } from '../../src/ingest/minutes.ts';

const START = 1_700_000_040_000_000;
const MARKET = 'BTC/USD';

/** A state of the candle of this minute; `close` tells which. */
function state(minute: number, close: string, venueSymbol = MARKET): DecodedCandle {
  const values = { open: '1', high: '9', low: '1', close, volume: '5', trades: 3 };
  return { kind: 'candle', venueSymbol, time: START + minute * MINUTE, ...values, closed: false };
}

function closerOf() {
  const closed: DecodedCandle[] = [];
  const unknown: [from: number, to: number][] = [];
  const minute = (time: number) => (time - START) / MINUTE;
  const closer = createCandleCloser({
    grace: 2_000_000,
    closed: (candle) => closed.push(candle),
    unknown: (_, from, to) => unknown.push([minute(from), minute(to)]),
  });
  const seen = () => closed.map(({ time, close }) => [minute(time), close]);
  const until = (seconds: number) => closer.advance(START + seconds * 1e6);
  return { closer, closed, seen, unknown, until };
}

describe('the last state of a candle', () => {
  test('is closed when a later one opens', () => {
    const { closer, closed } = closerOf();
    closer.candle(state(0, '1'));
    closer.candle(state(0, '2'));
    expect(closed).toEqual([]);
    closer.candle(state(1, '3'));
    expect(closed).toEqual([{ ...state(0, '2'), closed: true }]);
  });

  test('is closed by the clock, once, and again if it still changes', () => {
    const { closer, seen, until } = closerOf();
    closer.candle(state(0, '1'));
    until(61.9);
    expect(seen()).toEqual([]);
    until(62);
    until(63);
    expect(seen()).toEqual([[0, '1']]);
    closer.candle(state(0, '2'));
    closer.candle(state(1, '3'));
    expect(seen()).toEqual([
      [0, '1'],
      [0, '2'],
    ]);
  });

  test('of a minute that is over is passed on: a correction, or history on subscribing', () => {
    const { closer, seen } = closerOf();
    for (const minute of [0, 1, 2]) closer.candle(state(minute, '1'));
    closer.candle(state(0, '7'));
    expect(seen()).toEqual([
      [0, '1'],
      [1, '1'],
      [0, '7'],
    ]);
  });

  test('is not believed after an interruption: the history is asked up to the next one', () => {
    const { closer, seen, unknown, until } = closerOf();
    closer.candle(state(0, '1'));
    closer.interrupted(MARKET);
    until(500);
    expect(seen()).toEqual([]);
    closer.candle(state(3, '1'));
    expect(unknown).toEqual([[0, 2]]);
    closer.candle(state(4, '1'));
    expect(seen()).toEqual([[3, '1']]);
  });

  test('goes on after an interruption within its minute', () => {
    const { closer, seen, unknown } = closerOf();
    closer.candle(state(0, '1'));
    closer.interrupted(MARKET);
    closer.candle(state(0, '2'));
    closer.candle(state(1, '1'));
    expect([seen(), unknown]).toEqual([[[0, '2']], []]);
  });

  test('after an interruption, minutes since the one that was closed are asked for', () => {
    const { closer, unknown, until } = closerOf();
    closer.candle(state(0, '1'));
    until(70);
    closer.interrupted(MARKET);
    closer.candle(state(3, '1'));
    expect(unknown).toEqual([[1, 2]]);
  });

  test('against a plain model: of each minute the last state, of all markets, in any rhythm', () => {
    const step = fc.record({
      market: fc.constantFrom('A', 'B'),
      pause: fc.oneof(fc.nat(5_000_000), fc.nat(200_000_000)),
      close: fc.integer({ min: 1, max: 9 }).map(String),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { closer, closed } = closerOf();
        const model = new Map<string, string>();
        let clock = START;
        for (const { market, pause, close } of steps) {
          clock += pause;
          closer.advance(clock);
          const minute = Math.floor((clock - START) / MINUTE);
          closer.candle(state(minute, close, market));
          model.set(`${market} ${minute}`, close);
        }
        closer.advance(Infinity);
        const got = closed.map(
          ({ venueSymbol, time, close }) =>
            [`${venueSymbol} ${(time - START) / MINUTE}`, close] as const,
        );
        // Once each: no state came late here.
        expect(got.length).toBe(model.size);
        expect(new Map(got)).toEqual(model);
      }),
    );
  });
});
