import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findRefused, type Refusal, type Refused } from '../../src/writers/refused-rows.ts';

/** How a server tells: the line, or no line at all. */
type Row = { readonly bad: false } | { readonly bad: true; readonly named: boolean };

const good: fc.Arbitrary<Row> = fc.constant({ bad: false });
const bad: fc.Arbitrary<Row> = fc.boolean().map((named) => ({ bad: true, named }));
const rows = fc.array(fc.oneof({ weight: 20, arbitrary: good }, { weight: 1, arbitrary: bad }), {
  maxLength: 300,
});

/** As PostgreSQL: COPY stops at the first line that it cannot take; what it checks later has no line. */
async function attempt(some: readonly Row[]): Promise<Refusal | undefined> {
  const line = some.findIndex((row) => row.bad && row.named) + 1;
  if (line > 0) return { sqlstate: '22P02', message: 'named', line };
  const hidden = some.some((row) => row.bad);
  return hidden ? { sqlstate: '23503', message: 'hidden' } : undefined;
}

async function refusedOf(all: readonly Row[], how = attempt): Promise<Refused<Row>[]> {
  const found: Refused<Row>[] = [];
  await findRefused(all, how, (one) => found.push(one));
  return found;
}

test('finds each bad row, and no good one', async () => {
  await fc.assert(
    fc.asyncProperty(rows, async (all) => {
      const found = await refusedOf(all);
      expect(new Set(found.map(({ row }) => row))).toEqual(new Set(all.filter((row) => row.bad)));
      expect(found).toHaveLength(all.filter((row) => row.bad).length);
    }),
  );
});

test('one bad row among ten thousand costs few attempts', async () => {
  const cost = async (one: Row) => {
    const all: Row[] = Array.from({ length: 10_000 }, () => ({ bad: false }));
    all[7_777] = one;
    let attempts = 0;
    const counted = (some: readonly Row[]) => (attempts++, attempt(some));
    expect(await refusedOf(all, counted)).toHaveLength(1);
    return attempts;
  };
  expect(await cost({ bad: true, named: true })).toBe(3);
  expect(await cost({ bad: true, named: false })).toBeLessThanOrEqual(30);
});

test('stops looking where there are too many', async () => {
  const all: Row[] = Array.from({ length: 1_000 }, (_, i) => ({ bad: true, named: i % 2 === 0 }));
  let attempts = 0;
  let found = 0;
  const looking = findRefused(
    all,
    (some) => (attempts++, attempt(some)),
    () => {
      found++;
      if (found > 20) throw new Error('too many');
    },
  );
  await expect(looking).rejects.toThrow('too many');
  expect(attempts).toBeLessThan(60);
});
