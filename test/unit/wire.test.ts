import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareDecimals,
  decimal,
  epochMicros,
  idText,
  integer,
  integerText,
  isZero,
  levels,
  parseObject,
  positiveDecimal,
  precisionOf,
  quoteNumbers,
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

describe('numbers that are quoted before they are read', () => {
  const quote = quoteNumbers(['price', 'qty']);
  const members = fc.constantFrom(
    'price',
    'qty',
    'x',
    'price"',
    '\\\\',
    'qty\\',
    '"price":1,',
    ',"qty":2}',
  );
  const number = fc
    .tuple(
      fc.constantFrom('', '-'),
      fc.oneof(fc.constant('0'), fc.stringMatching(/^[1-9]\d{0,24}$/)),
      fc.oneof(fc.constant(''), fc.stringMatching(/^\.\d{1,24}$/)),
      fc.constantFrom('', 'e-7', 'E+2', 'e0'),
    )
    .map((parts) => parts.join(''));
  const space = fc.constantFrom('', '', ' ', '\n\t', '\r\n');
  const { json } = fc.letrec<{ json: string }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 4 },
      number,
      fc.constantFrom('true', 'null'),
      fc.oneof(fc.string({ unit: 'binary' }), members, members).map((text) => JSON.stringify(text)),
      fc.array(tie('json'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
      fc
        .array(fc.tuple(members, space, tie('json'), space), { maxLength: 4 })
        .map(
          (pairs) =>
            `{${pairs.map(([name, a, value, b]) => `${a}${JSON.stringify(name)}${b}:${a}${value}${b}`).join(',')}}`,
        ),
    ),
  }));
  const asSent = (name: string, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' && (name === 'price' || name === 'qty') ? context?.source : value;

  test('keep every digit; nothing else changes, whatever the texts look like', () => {
    fc.assert(
      fc.property(json, (text) => {
        expect(JSON.parse(quote(text))).toEqual(JSON.parse(text, asSent));
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    '{"price":01}',
    '{"price":1.}',
    '{"price":1 2}',
    '{"price":1',
    '{"price":+1}',
    '"price":1,',
  ])('do not make %j right', (text) => {
    expect(() => JSON.parse(quote(text))).toThrow(SyntaxError);
  });
});

test('integers sent as text are read to the digit', () => {
  expect(integerText('1597026383085', 'ts')).toBe(1597026383085);
  for (const value of ['', '1.0', '-1', '1e3', '9007199254740993', 1, null]) {
    expect(() => integerText(value, 'ts')).toThrow('ts');
  }
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
    const code = expect.stringMatching(/^(not_json|bad_shape)$/);
    expect(() => parseObject(frame)).toThrow(expect.objectContaining({ code }));
  });

  test('cannot reach prototypes', () => {
    const parsed = parseObject<{ polluted?: boolean }>('{"__proto__":{"polluted":true}}');
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test('with too many or bad levels are refused', () => {
    expect(levels([['1.0', '0', []]], 'b')).toEqual([['1.0', '0']]);
    expect(() =>
      levels(
        Array.from({ length: 5001 }, () => ['1', '1']),
        'b',
      ),
    ).toThrow('5001');
    expect(() => levels([['0', '1']], 'b')).toThrow('b');
    expect(() => levels([null], 'b')).toThrow('b');
    expect(() => levels({}, 'b')).toThrow('b');
  });
});
