import { expect, test } from 'vitest';
import { createCursor } from '../../src/ingest/cursor.ts';

test('tells next, duplicate and gap apart, per symbol', () => {
  const cursor = createCursor();
  expect(cursor.observe('A', '10').kind).toBe('next');
  expect(cursor.observe('B', '500').kind).toBe('next');
  expect(cursor.observe('A', '11').kind).toBe('next');
  expect(cursor.observe('A', '11').kind).toBe('duplicate');
  expect(cursor.observe('A', '15')).toEqual({ kind: 'gap', from: '12', to: '14', missing: 3 });
  expect(cursor.observe('A', '13').kind).toBe('duplicate');
  expect(cursor.observe('A', '16').kind).toBe('next');
});

test('counts beyond 2^53', () => {
  const cursor = createCursor();
  cursor.observe('A', '9007199254740992');
  expect(cursor.observe('A', '9007199254740993').kind).toBe('next');
});
