/**
 * Patterns against the decoders proper: a space before a frame is JSON as before, and more than a
 * pattern takes. Of the frames of the fixtures and of the bench, whole and damaged in all ways.
 */
import { readdir, readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { framedExchanges, makeTradeFrames } from '../../bench/trade-frames.ts';
import { codeOf } from '../../src/errors.ts';
import type { WsAdapter } from '../../src/ingest/adapter.ts';
import { exchangeIds, loadAdapter } from '../../src/ingest/registry.ts';
import {
  decimalNumber,
  eitherOf,
  integerNumber,
  members,
  text,
  tradePattern,
} from '../../src/ingest/trade-pattern.ts';

const FIXTURES = new URL('../fixtures/', import.meta.url);

async function fixtureFrames(exchange: string): Promise<string[]> {
  const folder = new URL(`${exchange}/`, FIXTURES);
  const files = (await readdir(folder)).filter((file) => file !== 'subscribe.json');
  const fixtures = await Promise.all(
    files.map(async (file) => JSON.parse(await readFile(new URL(file, folder), 'utf8'))),
  );
  return fixtures.filter(({ parser }) => !parser).flatMap(({ frames }) => frames);
}

/** As a decoder proper reads it: no pattern begins with a space. But OKX's `pong` is no JSON. */
const unpatterned = (frame: string) => (frame === 'pong' ? frame : ` ${frame}`);

/** What becomes of a frame: what it says, or the code of its refusal. */
function outcome(adapter: WsAdapter, frame: string): unknown {
  try {
    return adapter.decode(frame, adapter.open({ bookDepth: 20 }));
  } catch (error) {
    return codeOf(error) ?? error;
  }
}

/** Numbers and texts at their limits, names that come twice, other members, other spaces. */
// prettier-ignore
const PARTS = [
  '0', '0.0', '-1', '1e5', '01', '1.', '123456789012345', '1234567890123456', '9007199254740993',
  '61000.10000000000000000000', '61000.100000000000000000001', '99999999999999999999.5', 'true',
  '100000000000000000000', 'null', '""', '"x"', '"\\u0041"', '"\\""', '\\', '"', '"p":"1",',
  '"price":1,', '"px":"1",', '"T":1,', '"type":"error",', '"event":"error",', '"X":"NA",', 'NA',
  '"x":{},', '"x":[],', '"x":-0.5e+1,', '"x":"y",', ',"x":"y"', ' ', '\n', '\t', ', ', '\u2028',
  '\u0001', 'é', '\ud800', '{}', '[]', ',', ':', '{', '}', '[', ']', 'snapshot',
];

describe.each(exchangeIds)('%s', async (exchange) => {
  const adapter = await loadAdapter(exchange);
  const made = makeTradeFrames(exchange, 20);
  const frames = [...(await fixtureFrames(exchange)), ...made];

  test('reads a frame by its pattern as without', () => {
    for (const frame of frames)
      expect(outcome(adapter, frame)).toEqual(outcome(adapter, unpatterned(frame)));
  });

  test('and so for any damage', () => {
    const part = fc.oneof(
      fc.constantFrom(...PARTS),
      fc.stringMatching(/^\d{1,22}(\.\d{1,22})?$/),
      fc.string({ maxLength: 3 }),
    );
    const damaged = fc
      .tuple(fc.constantFrom(...frames), fc.nat(), fc.nat(12), part, fc.boolean())
      .map(([frame, place, length, junk, atToken]) => {
        // Between two tokens more often than not: there a part makes sense.
        const places = Array.from(frame.matchAll(/[",:{}[\]]/g), ({ index }) => index);
        const from = atToken ? (places[place % places.length] ?? 0) + 1 : place % frame.length;
        return frame.slice(0, from) + junk + frame.slice(from + (atToken ? 0 : length));
      });
    fc.assert(
      fc.property(damaged, (frame) => {
        expect(outcome(adapter, frame)).toEqual(outcome(adapter, unpatterned(frame)));
      }),
      { numRuns: 3_000 },
    );
  });
});

test('there are frames of every exchange to measure', () => {
  expect([...framedExchanges].toSorted()).toEqual([...exchangeIds].toSorted());
});

describe('a pattern', () => {
  const read = tradePattern({
    row: members({
      s: text('venueSymbol'),
      i: integerNumber('tradeId'),
      b: eitherOf('side', 'true', 'false'),
      p: decimalNumber('price'),
      q: decimalNumber('quantity'),
      t: integerNumber('time'),
    }),
    buy: 'true',
    micros: Number,
  });
  const frame = '{"s":"A","i":7,"b":true,"p":1.10,"q":0.50,"t":5}';

  test('keeps every digit', () => {
    expect(read(frame)).toEqual([
      {
        kind: 'trade',
        venueSymbol: 'A',
        tradeId: '7',
        side: 'buy',
        price: '1.10',
        quantity: '0.50',
        time: 5,
      },
    ]);
  });

  test.each([
    ['another member', '"i":7', '"new":"x","i":7'],
    ['one at the end', '"t":5', '"t":5,"new":-1.5e-7'],
    ['spaces after colons and commas', ',"p":1.10', ', "p": 1.10'],
  ])('takes a frame with %s', (_, from, to) => {
    expect(read(frame.replace(from, to))).toEqual(read(frame));
  });

  test.each([
    ['a member of its own twice', '"t":5', '"t":5,"p":2'],
    ['another order', '"s":"A","i":7', '"i":7,"s":"A"'],
    ['an escaped text', '"A"', '"\\u0041"'],
    ['a price of zero', '1.10', '0.00'],
    ['an id that a double cannot hold', '7', '9007199254740993'],
    ['something after its end', '}', '} '],
  ])('leaves a frame with %s', (_, from, to) => {
    expect(read(frame.replace(from, to))).toBeNull();
  });
});
