/**
 * Ids that count up by one, of any length, exactly: numbers while a double holds them, which cost a
 * third of a bigint, else bigints. `<` and `>` order them whichever they are.
 */
export type CountedId = number | bigint;

/** Digits that a double holds, with room for the next id. */
const SAFE_DIGITS = 15;

/** Of decimal digits; throws SyntaxError for anything else. */
export function countedId(text: string): CountedId {
  const { length } = text;
  if (length > SAFE_DIGITS || length === 0) return beyond(text);
  let id = 0;
  for (let i = 0; i < length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return beyond(text);
    id = id * 10 + digit;
  }
  return id;
}

function beyond(text: string): bigint {
  if (/^\d+$/.test(text)) return BigInt(text);
  throw new SyntaxError(`not an id that counts up: ${text.slice(0, 40)}`);
}

export function follows(id: CountedId, previous: CountedId): boolean {
  if (typeof id === 'number' && typeof previous === 'number') return id === previous + 1;
  return BigInt(id) === BigInt(previous) + 1n;
}
