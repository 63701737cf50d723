/** Times on a command line. */
import { expect, test } from 'vitest';
import { momentText, parseMoment, parseRange } from '../../src/commands/history/moment.ts';

const NOW = Date.UTC(2026, 0, 31, 12) * 1000;

test.each([
  ['now', '2026-01-31T12:00:00Z'],
  ['2 days ago', '2026-01-29T12:00:00Z'],
  ['1 day ago', '2026-01-30T12:00:00Z'],
  ['90m ago', '2026-01-31T10:30:00Z'],
  ['90 min ago', '2026-01-31T10:30:00Z'],
  ['3 hours ago', '2026-01-31T09:00:00Z'],
  ['1w ago', '2026-01-24T12:00:00Z'],
  ['2026-01-02', '2026-01-02T00:00:00Z'],
  ['2026-01-02T03:04', '2026-01-02T03:04:00Z'],
  ['2026-01-02 03:04:05', '2026-01-02T03:04:05Z'],
  ['2026-01-02T03:04:05.123456Z', '2026-01-02T03:04:05.123456Z'],
  ['2026-01-02T03:04:05.5+01:00', '2026-01-02T02:04:05.5Z'],
  ['2024-02-29', '2024-02-29T00:00:00Z'],
])('%s', (text, wanted) => {
  expect(momentText(parseMoment('--from', text, NOW))).toBe(wanted);
});

test.each([
  'yesterday',
  '',
  'ago',
  '2 fortnights ago',
  '-1d ago',
  '1.5d ago',
  '2026-02-30',
  '2026-02-29',
  '2026-13-01',
  '2026-01-01T24:30',
  '2026-01-01T10:61',
  '1767225600',
  '2026-01-01T10:00:00.1234567Z',
])('%s is no time', (text) => {
  expect(() => parseMoment('--from', text, NOW)).toThrow('is no time; such as');
});

test('what was written comes back', () => {
  for (const time of [0, 1, 1_000_000, 1_767_225_600_123_456]) {
    expect(parseMoment('--to', momentText(time), NOW)).toBe(time);
  }
});

test('a range begins before it ends, now by default', () => {
  expect(parseRange('1h ago', undefined, NOW)).toEqual({ from: NOW - 3_600_000_000, to: NOW });
  expect(() => parseRange('now', undefined, NOW)).toThrow('--from now is not before --to now');
});
