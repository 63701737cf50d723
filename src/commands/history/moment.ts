/** Times on a command line: ISO 8601, `2 days ago`, `now`. */
import { UsageError } from '../../errors.ts';
import type { Micros } from '../../ingest/events.ts';

export interface TimeRange {
  /** Included. */
  readonly from: Micros;
  /** Not included. */
  readonly to: Micros;
}

const AGO = /^(\d{1,6}) ?(m|min|minutes?|h|hours?|d|days?|w|weeks?) ago$/;
const MINUTES_OF: Readonly<Record<string, number>> = { m: 1, h: 60, d: 1_440, w: 10_080 };
const ISO =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?(Z|[+-]\d{2}:\d{2})?)?$/;

/** A date is its midnight, and a time without a zone is UTC. Throws UsageError. */
export function parseMoment(option: string, text: string, now: Micros): Micros {
  if (text === 'now') return now;
  const ago = AGO.exec(text);
  if (ago) return now - Number(ago[1]) * (MINUTES_OF[ago[2]?.[0] ?? ''] ?? 0) * 60_000_000;
  const iso = ISO.exec(text);
  const [, date, minute = '00:00', second = '00', fraction = '', zone = 'Z'] = iso ?? [];
  const ms = iso ? Date.parse(`${date}T${minute}:${second}${zone}`) : NaN;
  // Date.parse makes March of a 30th of February.
  const isThere = date !== undefined && new Date(Date.parse(date)).toJSON()?.startsWith(date);
  if (Number.isNaN(ms) || !isThere) {
    throw new UsageError(
      'bad_time',
      `${option}: ${text} is no time; such as 2026-01-31, 2026-01-31T08:15:00Z, "2 days ago" or now`,
    );
  }
  return ms * 1000 + Number(fraction.padEnd(6, '0'));
}

/** `to` defaults to now. Throws UsageError. */
export function parseRange(from: string, to: string | undefined, now: Micros): TimeRange {
  const range = {
    from: parseMoment('--from', from, now),
    to: parseMoment('--to', to ?? 'now', now),
  };
  if (range.from < range.to) return range;
  throw new UsageError('empty_range', `--from ${from} is not before --to ${to ?? 'now'}`);
}

/** `2024-08-08T23:54:15.342Z`: no more digits than it takes, so that it can be typed. */
export function momentText(time: Micros): string {
  const seconds = Math.floor(time / 1_000_000);
  const fraction = String(time - seconds * 1_000_000)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  return `${whole}${fraction && `.${fraction}`}Z`;
}
