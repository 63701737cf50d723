import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareDecimals,
  decimal,
  epochMicros,
  idText,
  integer,
  isZero,
  levels,
  parseObject,
  positiveDecimal,
  precisionOf,
} from '../../src/ingest/wire.ts';

const plainDecimal = fc
  .tuple(fc.bigInt({ min: 0n, max: 10n ** 20n - 1n }), fc.stringMatching(/^\d{0,20}$/))
  .map(([whole, fraction]) => (fraction === '' ? `${whole}` : `${whole}.${fraction}`));

describe('decimals', () => {
  test('come out as they went in', () => {
    fc.assert(
      fc.property(plainDecimal, (text) => {
        expect(decimal(text, 'p')).toBe(text);
      }),
    );
  });

  test.each([
    '',
    '-1',
    '+1',
    '1e5',
    '1E-7',
    'NaN',
    'Infinity',
    '0x1F',
    '1_000',
    ' 1',
    '1.',
    '.5',
    '01',
  ])('refuses %j', (text) => {
    expect(() => decimal(text, 'p')).toThrow(expect.objectContaining({ code: 'bad_decimal' }));
  });

  test.each([1, 1.5, null, undefined, {}, ['1'], true])('refuses %j, which is no text', (value) => {
    expect(() => decimal(value, 'p')).toThrow('p: ');
  });

  test('are compared by every digit', () => {
    const scaled = (text: string) => {
      const [whole = '', fraction = ''] = text.split('.');
      return BigInt(whole + fraction.padEnd(20, '0'));
    };
    fc.assert(
      fc.property(plainDecimal, plainDecimal, (a, b) => {
        const expected = scaled(a) < scaled(b) ? -1 : scaled(a) > scaled(b) ? 1 : 0;
        expect(Math.sign(compareDecimals(a, b))).toBe(expected);
      }),
    );
    expect(compareDecimals('1.10', '1.1')).toBe(0);
  });

  test('zero has many spellings, and is no price', () => {
    for (const zero of ['0', '0.0', '0.00000000']) {
      expect(isZero(zero)).toBe(true);
      expect(() => positiveDecimal(zero, 'p')).toThrow('p: 0');
    }
    expect(isZero('0.00000001')).toBe(false);
  });

  test('steps tell the digits that they allow', () => {
    expect(precisionOf('0.00100000')).toBe(3);
    expect(precisionOf('1.00000000')).toBe(0);
    expect(precisionOf('10')).toBe(0);
  });
});

describe('ids', () => {
  test('are texts, beyond 2^53 too', () => {
    expect(idText('9007199254740993', 'id')).toBe('9007199254740993');
    expect(idText(3735683259, 'id')).toBe('3735683259');
  });

  test('that lost digits as numbers are refused', () => {
    expect(() => idText(9007199254740992, 'id')).toThrow(
      expect.objectContaining({ code: 'bad_id' }),
    );
  });
});

describe('times', () => {
  test('are microseconds, whichever unit they came in', () => {
    expect(epochMicros(1723161255342, 'T')).toBe(1723161255342000);
    expect(epochMicros(1723161255342123, 'T')).toBe(1723161255342123);
  });

  test.each([0, -1, 1.5, 1723161255, 9e15, NaN, '1723161255342', null])('refuses %j', (value) => {
    expect(() => epochMicros(value, 'T')).toThrow('T');
  });
});

test('integers are whole, not negative, and exact', () => {
  expect(integer(0, 'n')).toBe(0);
  for (const value of [-1, 0.5, 2 ** 53, '1', null]) expect(() => integer(value, 'n')).toThrow('n');
});

describe('frames', () => {
  test.each(['', '{', 'null', '[]', '1', '"x"'])('%j is no object', (frame) => {
    expect(() => parseObject(frame)).toThrow(/not/);
  });

  test('cannot reach prototypes', () => {
    const parsed = parseObject<{ polluted?: boolean }>('{"__proto__":{"polluted":true}}');
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test('with too many or bad levels are refused', () => {
    expect(levels([['1.0', '0', []]], 'b')).toEqual([['1.0', '0']]);
    expect(() => levels(Array.from({ length: 5001 }, () => ['1', '1']), 'b')).toThrow('5001');
    expect(() => levels([['0', '1']], 'b')).toThrow('b');
    expect(() => levels([null], 'b')).toThrow('b');
    expect(() => levels({}, 'b')).toThrow('b');
  });
});
