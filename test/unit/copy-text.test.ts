import fc from 'fast-check';
import { expect, test } from 'vitest';
import { copyLine, copyTimestamp } from '../../src/writers/copy-text.ts';

/** As PostgreSQL reads it. */
function read(line: string): (string | null)[] {
  expect(line.endsWith('\n')).toBe(true);
  const back: Record<string, string> = { t: '\t', n: '\n', r: '\r', '\\': '\\' };
  return line
    .slice(0, -1)
    .split('\t')
    .map((cell) =>
      cell === '\\N' ? null : cell.replace(/\\(.)/gs, (_, c: string) => back[c] ?? c),
    );
}

test('cells come back as they were', () => {
  const cell = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\\N', '\\', 'a\tb', 'a\nb'),
  );
  fc.assert(
    fc.property(fc.array(cell, { minLength: 1 }), (cells) => {
      expect(read(copyLine(cells))).toEqual(cells);
    }),
  );
});

test('null and numbers', () => {
  expect(copyLine(['a', null, 5])).toBe('a\t\\N\t5\n');
});

test('times, to the microsecond', () => {
  expect(copyTimestamp(1723161255342000)).toBe('2024-08-08 23:54:15.342000+00');
  expect(copyTimestamp(1723161255000001)).toBe('2024-08-08 23:54:15.000001+00');
  fc.assert(
    fc.property(
      fc.integer({ min: 1_230_940_800_000_000, max: 4_000_000_000_000_000 }),
      (micros) => {
        const iso = `${copyTimestamp(micros).replace(' ', 'T').slice(0, 23)}Z`;
        expect(Date.parse(iso)).toBe(Math.floor(micros / 1000));
        expect(copyTimestamp(micros).slice(23, 26)).toBe(String(micros % 1000).padStart(3, '0'));
      },
    ),
  );
});
