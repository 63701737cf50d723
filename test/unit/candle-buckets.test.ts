import fc from 'fast-check';
import { expect, test } from 'vitest';
import { touchedBuckets } from '../../src/writers/candle-buckets.ts';
import { encodeRow } from '../../src/writers/tables.ts';
import { candle, MINUTE, START } from '../support/rollup.ts';

const FIVE_MINUTES = 5 * MINUTE;

test('the buckets of five minutes of rows, each once', () => {
  const anyCandle = fc
    .record({
      time: fc.integer({ min: -200 * MINUTE, max: 200 * MINUTE }).map((offset) => START + offset),
      exchange: fc.constantFrom('binance', 'kraken'),
      symbol: fc.constantFrom('BTC/USDT', '币安/USDT', 'tab\tand\\n/USDT'),
    })
    .map(({ time, ...market }) => candle(time, market));
  fc.assert(
    fc.property(fc.array(anyCandle), (candles) => {
      const { times, exchanges, symbols } = touchedBuckets(
        Buffer.from(candles.map(encodeRow).join('')),
      );
      const found = times.map((time, i) => [Date.parse(time) * 1000, exchanges[i], symbols[i]]);
      const expected = candles.map(({ time, exchange, symbol }) =>
        [time - (time % FIVE_MINUTES), exchange, symbol].join(' '),
      );
      expect(found.map((key) => key.join(' ')).toSorted()).toEqual(
        [...new Set(expected)].toSorted(),
      );
    }),
  );
});
