/**
 * Reading untrusted JSON. Each function returns the value in our terms or throws a DecodeError that
 * names the field; none of them lets a number through a float on its way to a column.
 */
import { DecodeError } from '../errors.ts';
import type { Decimal, Level, Micros, Side } from './events.ts';

export { crc32 } from 'node:zlib';

/** 2009-01-03, the genesis block, and 2200-01-01: the limits of the CHECK constraints. */
const EARLIEST_MICROS = 1_230_940_800_000_000;
const LATEST_MICROS = 7_258_118_400_000_000;

/** Also a JSON number literal and a PostgreSQL NUMERIC, so that the text can go anywhere as it is. */
const DECIMAL = /^(?:0|[1-9]\d{0,19})(?:\.\d{1,20})?$/;
const SCIENTIFIC = /^(\d{1,20})(?:\.(\d{1,40}))?[eE]([+-]?\d{1,2})$/;
const DIGITS = /^\d{1,40}$/;
const MAX_LEVELS = 5_000;
/** Trades of one frame, rows of one answer: what takes longer keeps the process from the others. */
export const MAX_ITEMS = 10_000;

/** Members as a documentation names them. What they hold is checked where it is read. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * A frame that is an object. Throws DecodeError `not_json`, `bad_shape`. The type is a claim: check
 * each member that is used.
 */
export function parseObject<T extends object>(frame: string): T {
  return object(parseJson(frame), 'frame') as T;
}

/** A frame that is an array. Throws as `parseObject` does. */
export function parseArray(frame: string): readonly unknown[] {
  return array(parseJson(frame), 'frame');
}

function parseJson(frame: string): unknown {
  try {
    return JSON.parse(frame);
  } catch (error) {
    throw new DecodeError('not_json', 'not JSON', { cause: error });
  }
}

/**
 * JSON whose numbers come as the text that was sent, for exchanges that send prices unquoted; read
 * those with `plainDecimal`. Several times slower than `parseObject`. Throws `not_json`.
 */
export function parseDigits(text: string): unknown {
  try {
    return JSON.parse(text, (_, value: unknown, context?: { source?: string }) =>
      typeof value === 'number' ? context?.source : value,
    );
  } catch (error) {
    throw new DecodeError('not_json', 'not JSON', { cause: error });
  }
}

/**
 * Turns the numbers of these members of a JSON text into strings, digit for digit, before a float can
 * round them; read them with `plainDecimal`. A third of the cost of `parseDigits`.
 *
 * Never inside a string: there a quotation mark has a backslash before it, so what matches between
 * two that have none is a whole string, and what has a colon after it is a name.
 */
export function quoteNumbers(members: readonly string[]): (json: string) => string {
  const name = `(?<!\\\\)"(?:${members.join('|')})"`;
  const number = '-?(?:0|[1-9]\\d*)(?:\\.\\d+)?(?:[eE][+-]?\\d+)?';
  const space = '[ \\t\\n\\r]*';
  const pattern = new RegExp(`(${name}${space}:${space})(${number})(?=${space}[,}])`, 'g');
  return (json) => json.replace(pattern, '$1"$2"');
}

/** A member that is an object. Throws `bad_shape`. */
export function object(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw new DecodeError('bad_shape', `${field}: not an object`);
}

/** A member that is an array, of no more than `max`. Throws `bad_shape`, `too_many`. */
export function array(value: unknown, field: string, max = MAX_ITEMS): readonly unknown[] {
  if (Array.isArray(value)) {
    if (value.length <= max) return value;
    throw new DecodeError('too_many', `${field}: ${value.length} items`);
  }
  throw new DecodeError('bad_shape', `${field}: not an array`);
}

/** A plain decimal sent as text: digits untouched. Throws `bad_decimal` (also for NaN, 1e5, -1, ''). */
export function decimal(value: unknown, field: string): Decimal {
  if (typeof value === 'string' && DECIMAL.test(value)) return value;
  throw invalid('bad_decimal', field, value);
}

/** As `decimal`, of a text that may have an exponent: `9.121E-7` -> `0.0000009121`. */
export function plainDecimal(value: unknown, field: string): Decimal {
  const match = typeof value === 'string' ? SCIENTIFIC.exec(value) : null;
  if (!match) return decimal(value, field);
  const [, units = '', fraction = '', exponent] = match;
  const shift = Number(exponent);
  const zeros = (count: number) => '0'.repeat(Math.max(0, count));
  const digits = zeros(-shift) + units + fraction + zeros(shift - fraction.length);
  const point = digits.length - Math.max(0, fraction.length - shift);
  const whole = digits.slice(0, point).replace(/^0+(?=\d)/, '');
  return decimal(point < digits.length ? `${whole}.${digits.slice(point)}` : whole, field);
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

/** As `integer`, sent as text. */
export function integerText(value: unknown, field: string): number {
  return integer(typeof value === 'string' && DIGITS.test(value) ? Number(value) : null, field);
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

/** An exchange's word for a side, as its adapter translates it. Throws `bad_side`. */
export function side(value: unknown, field: string, words: Readonly<Record<string, Side>>): Side {
  const known = typeof value === 'string' && Object.hasOwn(words, value) ? words[value] : undefined;
  if (known) return known;
  throw invalid('bad_side', field, value);
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

/** `2026-08-09T21:05:48.618125631Z`, digit by digit, floored to microseconds. Throws `bad_time`. */
export function isoMicros(value: unknown, field: string): Micros {
  const micros = typeof value === 'string' ? microsOf(value) : NaN;
  if (micros >= EARLIEST_MICROS && micros < LATEST_MICROS) return micros;
  throw invalid('bad_time', field, value);
}

/** NaN for what is no such time. A pattern and Date.parse took 340 ns, this takes 60 to 80. */
function microsOf(text: string): Micros {
  const end = text.length - 1;
  const fraction = end > 19;
  const shaped =
    text[4] === '-' &&
    text[7] === '-' &&
    text[10] === 'T' &&
    text[13] === ':' &&
    text[16] === ':' &&
    text[end] === 'Z' &&
    (fraction ? text[19] === '.' && end > 20 && end < 30 : end === 19);
  const hour = digitsIn(text, 11, 13);
  const minute = digitsIn(text, 14, 16);
  const second = digitsIn(text, 17, 19);
  if (!(shaped && hour < 24 && minute < 60 && second < 60)) return NaN;
  const midnight = midnightOf(digitsIn(text, 0, 4), digitsIn(text, 5, 7), digitsIn(text, 8, 10));
  const whole = midnight + ((hour * 60 + minute) * 60 + second) * 1_000_000;
  if (!fraction) return whole;
  const nanos = digitsIn(text, 20, end) * 10 ** (29 - end);
  return whole + Math.floor(nanos / 1000);
}

/** NaN where one of them is none. */
function digitsIn(text: string, from: number, to: number): number {
  let value = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return NaN;
    value = value * 10 + digit;
  }
  return value;
}

let lastDate = NaN;
let lastMidnight: Micros = NaN;

/** NaN for a day that there is not. Times of one day share it. */
function midnightOf(year: number, month: number, day: number): Micros {
  const date = (year * 100 + month) * 100 + day;
  if (date !== lastDate) {
    const midnight = new Date(Date.UTC(year, month - 1, day));
    const exists = midnight.getUTCMonth() === month - 1 && midnight.getUTCDate() === day;
    lastDate = date;
    lastMidnight = exists ? midnight.getTime() * 1000 : NaN;
  }
  return lastMidnight;
}

/** `2026-08-09T21:05:48.618Z`: a time in a request, which asks for no more than milliseconds. */
export function isoText(time: Micros): string {
  return new Date(time / 1000).toISOString();
}

/**
 * `[[price, amount, ...], ...]` of decimal texts. `max`: for exchanges that send whole books.
 * Throws `bad_shape`, `bad_decimal`, `too_many`.
 */
export function levels(value: unknown, field: string, max = MAX_LEVELS): Level[] {
  if (!Array.isArray(value)) throw invalid('bad_shape', field, value);
  if (value.length > max) throw new DecodeError('too_many', `${field}: ${value.length} levels`);
  return value.map((level: unknown): Level => {
    if (!Array.isArray(level)) throw invalid('bad_shape', field, level);
    return [positiveDecimal(level[0], field), decimal(level[1], field)];
  });
}

/**
 * A rule of a market, such as its least order size. Null where there is none: the member is absent,
 * empty, or zero, which switches a rule off. Throws `bad_decimal`.
 */
export function ruleOf(value: unknown, field: string): Decimal | null {
  if (value === undefined || value === null || value === '') return null;
  const number = decimal(value, field);
  return isZero(number) ? null : number;
}

/**
 * Digits after the point that a step allows: `0.00100000` -> 3, `1.00000000` -> 0, `10` -> 0; null
 * where there is no step.
 */
export function precisionOf(step: Decimal | null): number | null {
  if (step === null) return null;
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

/** What to throw when a REST answer of status 200 says that it is none. */
export function refusedAnswer(reason: unknown): DecodeError {
  return new DecodeError('refused', said(reason));
}

/**
 * What an exchange says to people: a text, a number, yes or no, some of these; cut. Anything else is
 * not spelled: it may be too deep for that, or have a toString of its own.
 */
export function said(value: unknown): string {
  const words = Array.isArray(value) ? value.slice(0, 5).map(scalar).join(', ') : scalar(value);
  return words.slice(0, 200);
}

function scalar(value: unknown): string {
  return typeof value === 'object' && value !== null ? 'an object' : String(value).slice(0, 200);
}

function invalid(code: string, field: string, value: unknown): DecodeError {
  // Of texts and numbers only, and cut: JSON.stringify of a deep value can throw.
  const shown = typeof value === 'string' || typeof value === 'number';
  return new DecodeError(code, `${field}: ${shown ? String(value).slice(0, 40) : typeof value}`);
}
