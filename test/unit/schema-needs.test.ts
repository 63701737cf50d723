import { expect, test } from 'vitest';
import { WRITER_NEEDS } from '../../src/schema/needs.ts';
import { ALL_TABLES } from '../../src/writers/tables.ts';

test('what is verified at start is what the writers fill', () => {
  for (const { name, columns, keyless } of ALL_TABLES) {
    const needs = WRITER_NEEDS.find(({ table }) => table === name);
    const verified = Object.keys(needs?.columns ?? {});
    // The gap ledger fills others of its columns.
    if (keyless) expect(verified).toEqual(expect.arrayContaining([...columns]));
    else expect(verified.toSorted()).toEqual(columns.toSorted());
  }
});
