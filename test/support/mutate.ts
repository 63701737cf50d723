/** Frames as no exchange sends them: made of real ones, by a seed. */

export type Random = () => number;

/** A frame, and others of the same exchange to mix in. */
export type Mutate = (frames: readonly string[]) => string;

/** What stands for itself in the text of a frame, as JSON cannot say it. */
const RAW = [
  '1e400',
  '-1e400',
  'NaN',
  'Infinity',
  '-0',
  '0',
  '-1',
  '1E-7',
  '0.00',
  '00012',
  '.5',
  '5.',
  '1_000',
  '9007199254740993',
  '-9007199254740993',
  '123456789012345678901234567890.123456789012345678901234567890',
  '1'.repeat(5_000),
  '253402300800000',
  '1e17',
  '[]',
  '{}',
  '[[]]',
  'null',
  'true',
  '{"__proto__":{"price":"1"}}',
  '{"constructor":{"prototype":{}}}',
  '"\\ud800"',
  '"\\u0000"',
  '"a\\tb\\nc\\\\N\\rd"',
  '"\\\\."',
  `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
];

const TEXTS = [
  '',
  ' ',
  '0',
  '-1',
  '1e5',
  '1e-8',
  'NaN',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'toString',
  '\\N',
  'a\tb',
  'a\nb',
  'a\\',
  '\u0000',
  '\ud800x',
  '\u2028',
  '0.1234567890123456789',
  '99999999999999999999.99999999999999999999',
  '999999999999999999999',
  '9007199254740993',
  '1970-01-01T00:00:00Z',
  '2262-04-12T00:00:00.000000001Z',
  '2026-02-30T00:00:00Z',
  '1'.repeat(100),
  'x'.repeat(3_000),
];

type Tree = Record<string, unknown> | unknown[];

export function createMutator(random: Random): Mutate {
  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;

  function ofText(frame: string, other: string): string {
    const at = below(frame.length + 1);
    const to = at + below(Math.min(40, frame.length - at + 1));
    switch (below(7)) {
      case 0:
        return frame.slice(0, at);
      case 1:
        return frame.slice(0, at) + frame.slice(to);
      case 2:
        return frame.slice(0, to) + frame.slice(at);
      case 3:
        return (
          frame.slice(0, at) +
          pick(['"', '\\', '{', '}', ',', ':', '\0', '\ud83d', '9', 'e']) +
          frame.slice(to)
        );
      case 4:
        return frame.slice(0, at) + other.slice(below(other.length + 1));
      case 5:
        // A digit more, less or another: often still a frame that can be read.
        return frame.replace(/\d(?=\D*$)/, () => pick(['', '0', '7', '12', '.', 'e1']));
      default:
        return frame.slice(0, at) + String.fromCharCode(below(0x10000)) + frame.slice(at);
    }
  }

  function ofTree(frame: string, other: string): string {
    const root = parse(frame);
    if (root === undefined) return ofText(frame, other);
    const raw: string[] = [];
    const literal = (text: string) => `@@${raw.push(text) - 1}@@`;
    const [parent, key] = place(root);
    const value: unknown = Reflect.get(parent, key);
    const replacement = () => {
      const kind = below(4);
      if (kind === 0) return literal(pick(RAW));
      if (kind === 1) return pick(TEXTS);
      // The other type of the same digits.
      if (kind === 2) return typeof value === 'string' ? literal(value || '0') : String(value);
      return pick([null, true, false, 0, -1, 1.5, [], {}]);
    };
    switch (below(8)) {
      case 0:
        Reflect.deleteProperty(parent, key);
        break;
      case 1: {
        const [donor, from] = place(parse(other) ?? root);
        Reflect.set(parent, key, structuredClone(Reflect.get(donor, from)));
        break;
      }
      case 2: {
        const [donor, from] = place(root);
        const taken: unknown = structuredClone(Reflect.get(donor, from));
        Reflect.set(donor, from, structuredClone(value));
        Reflect.set(parent, key, taken);
        break;
      }
      case 3:
        if (Array.isArray(parent)) parent.push(...repeat(parent));
        else Reflect.set(parent, pick(['x', 'constructor', 'price', 'p', 'data']), replacement());
        break;
      case 4:
        if (Array.isArray(parent)) parent.reverse();
        else return twice(frame, key, replacement, raw);
        break;
      default:
        Reflect.set(parent, key, replacement());
    }
    return spell(root, raw);
  }

  /** Mostly a few more; now and then more than any exchange would send. */
  function repeat(list: readonly unknown[]): unknown[] {
    const times = below(2_000) === 0 ? 10_001 : below(4);
    return Array.from({ length: times }, () => pick(list));
  }

  function twice(
    frame: string,
    key: string,
    replacement: () => unknown,
    raw: readonly string[],
  ): string {
    const name = JSON.stringify(key);
    const member = `${name}:${spell(replacement(), raw)},`;
    return frame.replace(`${name}:`, () => `${member}${name}:`);
  }

  /** Any member, by a walk from the root. */
  function place(root: Tree): readonly [parent: Tree, key: string] {
    let parent = root;
    for (;;) {
      const key = pick(Object.keys(parent)) ?? 'x';
      const value: unknown = Reflect.get(parent, key);
      const isInner = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
      if (!isInner || below(6) === 0) return [parent, key];
      parent = value as Tree;
    }
  }

  return (frames) => {
    let frame = pick(frames);
    const rounds = 1 + below(3);
    for (let i = 0; i < rounds; i++) {
      const other = pick(frames);
      frame = below(4) === 0 ? ofText(frame, other) : ofTree(frame, other);
    }
    return frame;
  };
}

function parse(frame: string): Tree | undefined {
  if (frame.length > 100_000) return undefined;
  try {
    // Numbers keep their digits: most of what is not changed shall be as it was sent.
    const value: unknown = JSON.parse(frame, (_, one: unknown, context?: { source?: string }) =>
      typeof one === 'number' ? `##${context?.source}##` : one,
    );
    return typeof value === 'object' && value !== null ? (value as Tree) : undefined;
  } catch {
    return undefined;
  }
}

function spell(value: unknown, raw: readonly string[]): string {
  return JSON.stringify(value)
    .replace(/"@@(\d+)@@"/g, (_, index: string) => raw[Number(index)] ?? 'null')
    .replace(/"##([^"#]*)##"/g, '$1');
}
