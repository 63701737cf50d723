import { describe, expect, test } from 'vitest';
import type { DecodedCandle, DecodedTrade, WsAdapter } from '../../src/ingest/adapter.ts';
import { createCandleSeries } from '../../src/ingest/candle-series.ts';
import { MINUTE } from '../../src/ingest/minutes.ts';

const START = 1_700_000_040_000_000;
const HOUR = 60 * MINUTE;
const MARKET = 'BTC-USD';

function seriesOf(candleClose: WsAdapter['candleClose']) {
  const closed: [minute: number, whole: boolean][] = [];
  const unknown: [from: number, to: number][] = [];
  const minute = (time: number) => (time - START) / MINUTE;
  const series = createCandleSeries({
    adapter: { candleClose, channels: { trades: 'ids' } },
    graceMs: 2_000,
    closed: ({ time }, whole) => closed.push([minute(time), whole]),
    unknown: (_, from, to) => unknown.push([minute(from), minute(to)]),
  });
  return { series, closed, unknown };
}

function trade(id: number, seconds: number): DecodedTrade {
  const time = START + seconds * 1e6;
  const amounts = { price: '1', quantity: '1' };
  return { kind: 'trade', venueSymbol: MARKET, tradeId: `${id}`, side: 'buy', ...amounts, time };
}

function candle(minute: number, closed: boolean): DecodedCandle {
  const values = { open: '1', high: '1', low: '1', close: '1', volume: '1', trades: 1 };
  const time = START + minute * MINUTE;
  return { kind: 'candle', venueSymbol: MARKET, time, ...values, closed };
}

describe('minutes are over by the clock of the exchange', () => {
  test.each([
    { what: 'right', off: 0 },
    { what: 'an hour fast', off: HOUR },
    { what: 'an hour slow', off: -HOUR },
  ])('with ours $what', ({ off }) => {
    const { series, closed } = seriesOf('trades');
    const ours = (seconds: number) => START + seconds * 1e6 + off;
    series.advance(ours(-2));
    // 100 ms on their way.
    series.trade(trade(1, -1), ours(-0.9));
    series.trade(trade(2, 30), ours(30.1));
    series.advance(ours(61.9));
    expect(closed).toEqual([[-1, false]]);
    series.advance(ours(62.2));
    expect(closed).toEqual([
      [-1, false],
      [0, true],
    ]);
  });

  test('also once ours is set, after a minute', () => {
    const { series, closed } = seriesOf('trades');
    series.trade(trade(1, -1), START - 1e6);
    for (let id = 2; id < 200; id++) {
      series.trade(trade(id, id), START + id * 1e6 + HOUR);
      if (id > 130) series.advance(START + id * 1e6 + HOUR);
    }
    expect(closed).toEqual([
      [-1, false],
      [0, true],
      [1, true],
      [2, true],
    ]);
  });
});

describe('with a flag', () => {
  test('a candle is closed when it says so', () => {
    const { series, closed } = seriesOf('flag');
    series.candle(candle(0, false));
    series.advance(START + HOUR);
    expect(closed).toEqual([]);
    series.candle(candle(0, true));
    expect(closed).toEqual([[0, true]]);
  });

  test('the minutes whose flag may have been missed in an interruption are asked for', () => {
    const { series, unknown } = seriesOf('flag');
    series.candle(candle(0, false));
    series.advance(START + 30e6);
    series.interrupted(MARKET);
    series.advance(START + 100e6);
    series.interrupted(MARKET);
    series.candle(candle(3, false));
    series.candle(candle(4, false));
    expect(unknown).toEqual([[-1, 2]]);
  });
});
