import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareDecimals,
  decimal,
  isoMicros,
  isoText,
  parseDigits,
  plainDecimal,
  side,
} from '../../src/ingest/wire.ts';

describe('exponents', () => {
  test.each([
    ['9.121E-7', '0.0000009121'],
    ['1e-8', '0.00000001'],
    ['1.5E3', '1500'],
    ['1.2345e+2', '123.45'],
    ['0.50e1', '5.0'],
    ['0e0', '0'],
    ['12.50', '12.50'],
  ])('%s is %s', (text, plain) => {
    expect(plainDecimal(text, 'p')).toBe(plain);
  });

  test('are moved points: the digits stay', () => {
    const digits = fc.bigInt({ min: 1n, max: 10n ** 10n });
    fc.assert(
      fc.property(digits, fc.nat(9), fc.integer({ min: -9, max: 9 }), (value, point, shift) => {
        const text = String(value).padStart(point + 1, '0');
        const at = text.length - point;
        const mantissa = `${text.slice(0, at)}${point > 0 ? `.${text.slice(at)}` : ''}`;
        const plain = plainDecimal(`${mantissa}e${shift}`, 'p');
        expect(decimal(plain, 'p')).toBe(plain);
        const exact = shift >= point ? `${value * 10n ** BigInt(shift - point)}` : undefined;
        if (exact !== undefined) expect(compareDecimals(plain, exact)).toBe(0);
        else expect(BigInt(plain.replace('.', ''))).toBe(value);
      }),
    );
  });

  test.each(['1e99', '-1e2', 'e5', '1e', 1e-7, null])('refuses %j', (value) => {
    expect(() => plainDecimal(value, 'p')).toThrow('p');
  });
});

test('numbers of a JSON text keep their digits, and nothing else changes', () => {
  expect(
    parseDigits('[1.10, {"a": 1e-7, "b": "1.0", "c": [true, null]}, 18014398509481993]'),
  ).toEqual(['1.10', { a: '1e-7', b: '1.0', c: [true, null] }, '18014398509481993']);
  expect(() => parseDigits('[1')).toThrow('not JSON');
});

describe('times as text', () => {
  test.each([
    ['2026-08-09T21:05:48.618125999Z', 1786309548618125],
    ['2026-08-09T21:05:48.61Z', 1786309548610000],
    ['2026-08-09T21:05:48Z', 1786309548000000],
  ])('%s is floored to microseconds', (text, micros) => {
    expect(isoMicros(text, 't')).toBe(micros);
  });

  test('are what whole numbers make of them, whatever came before', () => {
    const start = 1_230_940_800_000n;
    const anyTime = fc.bigInt({ min: start * 1_000_000n, max: 7_258_118_399_999_999_999n });
    const near = anyTime.chain((nanos) =>
      fc.array(fc.bigInt({ min: nanos, max: nanos + 90_000_000_000n }), { minLength: 1 }),
    );
    fc.assert(
      fc.property(near, fc.integer({ min: 0, max: 9 }), (times, places) => {
        for (const nanos of times.filter((time) => time < 7_258_118_400_000_000_000n)) {
          const fraction = String(nanos % 1_000_000_000n)
            .padStart(9, '0')
            .slice(0, places);
          const seconds = new Date(Number(nanos / 1_000_000n)).toISOString().slice(0, 19);
          const exact =
            (nanos / 1_000_000_000n) * 1_000_000n + BigInt(fraction.padEnd(6, '0').slice(0, 6));
          const text = `${seconds}${places === 0 ? '' : `.${fraction}`}Z`;
          expect(BigInt(isoMicros(text, 't'))).toBe(exact);
        }
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    '2026-02-29T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-00-10T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-08-09T24:00:00Z',
    '2026-08-09T21:60:00Z',
    '2026-08-09T21:05:60Z',
    '2026-08-09T21:05:4Z',
    '2026-08-09T21:05:48.Z',
    '2026-08-09T21:05:48.1234567890Z',
    '2026-08-09T21:05:48,5Z',
    '2026-08-09T21:05:48.6x8Z',
    '2026-08-09T21:05:48.618',
    '2026-08-09T21:05:48.618+00',
    '2026-08-09 21:05:48Z',
    '2026-08-09T21:05:',
    '+026-08-09T21:05:48Z',
    '0001-01-01T00:00:00Z',
    '2026-13-09T21:05:48Z',
    '2026-08-09T21:05:48',
    '',
    1786309548,
    null,
  ])('refuses %j', (value) => {
    expect(() => isoMicros(value, 't')).toThrow('t');
  });

  test('are milliseconds in a request', () => {
    expect(isoText(1786309548618125)).toBe('2026-08-09T21:05:48.618Z');
  });
});

test('a side is a word that its adapter knows', () => {
  expect(side('SELL', 's', { SELL: 'buy' })).toBe('buy');
  for (const word of ['sell', 'toString', '__proto__', null, 1]) {
    expect(() => side(word, 's', { SELL: 'buy' })).toThrow('s');
  }
});
