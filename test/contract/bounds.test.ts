/** What no exchange sends: frames that would keep the process busy, or that are too deep to look at. */
import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { DecodeError } from '../../src/errors.ts';
import type { WsAdapter } from '../../src/ingest/adapter.ts';
import { exchangeIds, loadAdapter } from '../../src/ingest/registry.ts';
import { MAX_ITEMS, said } from '../../src/ingest/wire.ts';

const FIXTURES = new URL('../fixtures/', import.meta.url);

async function framesOf(exchange: string): Promise<string[]> {
  const folder = new URL(`${exchange}/`, FIXTURES);
  const files = (await readdir(folder)).filter((name) => name !== 'subscribe.json');
  const fixtures = await Promise.all(
    files.map(
      async (name) =>
        JSON.parse(await readFile(new URL(name, folder), 'utf8')) as {
          frames: string[];
          parser?: string;
        },
    ),
  );
  return fixtures.flatMap(({ frames, parser }) => (parser ? [] : frames));
}

const decode = (adapter: WsAdapter, frame: string) =>
  adapter.decode(frame, adapter.open({ bookDepth: 20 }));

/** The frame with each of its lists, one at a time, as long as `length`. */
function lengthened(frame: string, length: number): string[] {
  const root: unknown = JSON.parse(frame);
  const longer: string[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if (Array.isArray(value) && value.length > 0) {
      const original = [...value];
      while (value.length < length) value.push(original[0]);
      longer.push(JSON.stringify(root));
      value.splice(0, value.length, ...original);
    }
    for (const inner of Object.values(value)) visit(inner);
  };
  visit(root);
  return longer;
}

describe.each(exchangeIds)('%s', async (exchange) => {
  const adapter = await loadAdapter(exchange);
  const frames = (await framesOf(exchange)).filter((frame) => frame.startsWith('{'));
  const tradesOf = (frame: string) => {
    try {
      return decode(adapter, frame).filter(({ kind }) => kind === 'trade').length;
    } catch (error) {
      expect(error).toBeInstanceOf(DecodeError);
      return 0;
    }
  };

  test('no frame has more trades than is allowed', () => {
    let most = 0;
    for (const frame of frames.filter((one) => tradesOf(one) > 0)) {
      for (const longer of lengthened(frame, MAX_ITEMS + 1)) {
        // One of another list may be in it.
        expect(tradesOf(longer)).toBeLessThanOrEqual(tradesOf(frame));
      }
      for (const longer of lengthened(frame, MAX_ITEMS)) most = Math.max(most, tradesOf(longer));
    }
    // Where trades come in lists.
    expect([0, 1, MAX_ITEMS]).toContain(most);
  });

  test('a frame of any depth is refused, or passed over', () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    for (const frame of [deep, `{"data":${deep}}`, ...frames.map((one) => swapFirst(one, deep))]) {
      // Throws for any error that is not a refusal.
      expect(tradesOf(frame)).toBeLessThan(1_000);
    }
  });
});

/** The first value of the frame, whatever it is, becomes another. */
function swapFirst(frame: string, value: string): string {
  return frame.replace(/:\s*(?:"[^"]*"|[\d.]+|true|false|null)/, () => `:${value}`);
}

test('what is said of a value is short, and no value can keep it from being said', () => {
  const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as unknown;
  const hostile = { toString: 1, toJSON: 2 };
  expect(said(deep)).toBe('an object');
  expect(said([hostile, 'x', deep, 1])).toBe('an object, x, an object, 1');
  expect(said(hostile)).toBe('an object');
  expect(said('x'.repeat(1e6))).toHaveLength(200);
  expect([said(null), said(undefined), said(5), said(true)]).toEqual([
    'null',
    'undefined',
    '5',
    'true',
  ]);
});
