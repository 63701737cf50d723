import { expect, test } from 'vitest';
import { WRITER_NEEDS } from '../../src/schema/needs.ts';
import { ALL_TABLES } from '../../src/writers/tables.ts';

test('what is verified at start is what the writers fill', () => {
  for (const { name, columns } of ALL_TABLES) {
    const needs = WRITER_NEEDS.find(({ table }) => table === name);
    expect(Object.keys(needs?.columns ?? {}).toSorted()).toEqual([...columns].toSorted());
  }
});
