/**
 * Reading untrusted JSON. Each function returns the value in our terms or throws a DecodeError that
 * names the field; none of them lets a number through a float on its way to a column.
 */
import { DecodeError } from '../errors.ts';
import type { Decimal, Level, Micros } from './events.ts';

/** 2009-01-03, the genesis block, and 2200-01-01: the limits of the CHECK constraints. */
const EARLIEST_MICROS = 1_230_940_800_000_000;
const LATEST_MICROS = 7_258_118_400_000_000;

/** Also a JSON number literal and a PostgreSQL NUMERIC, so that the text can go anywhere as it is. */
const DECIMAL = /^(?:0|[1-9]\d{0,19})(?:\.\d{1,20})?$/;
const DIGITS = /^\d{1,40}$/;
const MAX_LEVELS = 5_000;

/**
 * A frame that is an object. Throws DecodeError `not_json`, `bad_shape`. The type is a claim: check
 * each member that is used.
 */
export function parseObject<T extends object>(frame: string): T {
  let value: unknown;
  try {
    value = JSON.parse(frame);
  } catch (error) {
    throw new DecodeError('not_json', 'not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DecodeError('bad_shape', 'not a JSON object');
  }
  return value as T;
}

/** A plain decimal sent as text: digits untouched. Throws `bad_decimal` (also for NaN, 1e5, -1, ''). */
export function decimal(value: unknown, field: string): Decimal {
  if (typeof value === 'string' && DECIMAL.test(value)) return value;
  throw invalid('bad_decimal', field, value);
}

/** As `decimal`, and not zero: a price, the size of a trade. */
export function positiveDecimal(value: unknown, field: string): Decimal {
  const number = decimal(value, field);
  if (isZero(number)) throw invalid('bad_decimal', field, value);
  return number;
}

export function isZero(value: Decimal): boolean {
  for (let i = 0; i < value.length; i++) {
    const char = value.charCodeAt(i);
    if (char !== 48 && char !== 46) return false;
  }
  return true;
}

/** A non-negative integer that a double holds exactly. Throws `bad_integer`. */
export function integer(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid('bad_integer', field, value);
}

/** An id as text. A number beyond 2^53 has lost digits already, so it is refused: `bad_id`. */
export function idText(value: unknown, field: string): string {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return String(value);
  if (typeof value === 'string' && DIGITS.test(value)) return value;
  throw invalid('bad_id', field, value);
}

/** A short text: a venue symbol, a request id. Throws `bad_text`. */
export function shortText(value: unknown, field: string): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= 64) return value;
  throw invalid('bad_text', field, value);
}

export function boolean(value: unknown, field: string): boolean {
  if (typeof value === 'boolean') return value;
  throw invalid('bad_boolean', field, value);
}

/** Milliseconds or microseconds since the epoch, told apart by magnitude. Throws `bad_time`. */
export function epochMicros(value: unknown, field: string): Micros {
  const number = integer(value, field);
  const micros = number < 100_000_000_000_000 ? number * 1000 : number;
  if (micros >= EARLIEST_MICROS && micros < LATEST_MICROS) return micros;
  throw invalid('bad_time', field, value);
}

/** `[[price, amount, ...], ...]` of decimal texts. Throws `bad_shape`, `bad_decimal`, `too_many`. */
export function levels(value: unknown, field: string): Level[] {
  if (!Array.isArray(value)) throw invalid('bad_shape', field, value);
  if (value.length > MAX_LEVELS)
    throw new DecodeError('too_many', `${field}: ${value.length} levels`);
  return value.map((level: unknown): Level => {
    if (!Array.isArray(level)) throw invalid('bad_shape', field, level);
    return [positiveDecimal(level[0], field), decimal(level[1], field)];
  });
}

/** Digits after the point that a step allows: `0.00100000` -> 3, `1.00000000` -> 0, `10` -> 0. */
export function precisionOf(step: Decimal): number {
  const fraction = step.split('.')[1] ?? '';
  return fraction.replace(/0+$/, '').length;
}

/** Order of two decimal texts, exactly. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const [intA = '', fractionA = ''] = a.split('.');
  const [intB = '', fractionB = ''] = b.split('.');
  if (intA.length !== intB.length) return intA.length - intB.length;
  if (intA !== intB) return intA < intB ? -1 : 1;
  const width = Math.max(fractionA.length, fractionB.length);
  const paddedA = fractionA.padEnd(width, '0');
  const paddedB = fractionB.padEnd(width, '0');
  return paddedA === paddedB ? 0 : paddedA < paddedB ? -1 : 1;
}

function invalid(code: string, field: string, value: unknown): DecodeError {
  // Of texts and numbers only, and cut: JSON.stringify of a deep value can throw.
  const shown = typeof value === 'string' || typeof value === 'number';
  return new DecodeError(code, `${field}: ${shown ? String(value).slice(0, 40) : typeof value}`);
}
