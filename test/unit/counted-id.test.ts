import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countedId, follows } from '../../src/counted-id.ts';

/** Of all lengths, and where numbers end and bigints begin. */
const anyId = fc.oneof(
  fc.nat(10_000).map(BigInt),
  fc.bigInt({ min: 0n, max: 10n ** 38n }),
  fc
    .constantFrom(10n ** 15n, 2n ** 53n, 2n ** 63n, 2n ** 64n)
    .chain((limit) => fc.bigInt({ min: limit - 3n, max: limit + 3n })),
);

test('keeps every digit, and the order of ids', () => {
  fc.assert(
    fc.property(anyId, anyId, (a, b) => {
      const [x, y] = [countedId(String(a)), countedId(String(b))];
      expect(BigInt(x)).toBe(a);
      expect([x < y, x > y, x <= y]).toEqual([a < b, a > b, a <= b]);
      expect(follows(y, x)).toBe(b === a + 1n);
      expect(follows(countedId(String(a + 1n)), x)).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});

test.each(['', ' 1', '1 ', '-1', '+1', '1.0', '1e5', '0x1f', 'NaN', '123456789012345678x'])(
  'refuses %j',
  (text) => {
    expect(() => countedId(text)).toThrow(SyntaxError);
  },
);
