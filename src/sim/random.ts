/**
 * Randomness by position, not by sequence: any trade, level or arrival can be made again from its
 * number alone, without what came before it.
 */

/** 32 well-mixed bits of (seed, value, salt). `value` is any safe integer. */
export function hash(seed: number, value: number, salt: number): number {
  const low = mix(seed ^ Math.imul(salt, 0x9e3779b1) ^ value);
  return mix(low ^ Math.floor(value / 2 ** 32)) >>> 0;
}

/** The same, as a number in [0, 1). */
export function uniform(seed: number, value: number, salt: number): number {
  return hash(seed, value, salt) / 2 ** 32;
}

/** FNV-1a of a text. */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (const byte of Buffer.from(text)) h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}

/** "lowbias32" of the hash-prospector project: each bit in flips each bit out about half the time. */
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return h ^ (h >>> 15);
}
