import { expect, test } from 'vitest';
import { decodeFill, encodeFill, type GapFill } from '../../src/writers/gap-fill.ts';
import {
  countRows,
  decodeFrame,
  encodeFrames,
  FRAME_FILL,
  FRAME_ROWS,
  type FrameType,
  rowsIn,
} from '../../src/writers/spool-format.ts';

const ROWS = 'a\tb\nc\td\n';

test.each<GapFill>([
  { symbol: 'BTC/USDT', gap: 20n, from: 11n, through: 12n, reason: null },
  {
    symbol: '币安/USDT',
    gap: 9n ** 39n,
    from: 2n ** 53n + 1n,
    through: 2n ** 64n,
    reason: 'too_old',
  },
])('a fill of $symbol comes back from its frame, and so do its rows', (fill) => {
  const payload = encodeFill(fill, ROWS);
  const decoded = decodeFrame(encodeFrames([{ seq: 1, type: FRAME_FILL, table: 1, payload }]), 0);
  if (decoded.kind !== 'frame') throw new Error(decoded.kind);
  const { frame } = decoded;
  expect(decodeFill(frame.payload)).toEqual(fill);
  expect(rowsIn(frame).toString()).toBe(ROWS);
  expect(countRows(frame)).toBe(2);
  expect(countRows({ type: FRAME_FILL, payload: encodeFill(fill, '') })).toBe(0);
  expect(countRows({ type: FRAME_ROWS, payload: Buffer.from(ROWS) })).toBe(2);
});

test('a type of a later version is stepped over and kept, not taken for rows', () => {
  const payload = Buffer.from(ROWS);
  const bytes = encodeFrames([{ seq: 1, type: 3 as FrameType, table: 1, payload }]);
  expect(decodeFrame(bytes, 0)).toEqual({ kind: 'corrupt' });
});
