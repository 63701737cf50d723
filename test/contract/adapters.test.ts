/**
 * What every registered adapter owes, from its fixtures in test/fixtures/<exchange>, and what each file
 * of one does. No code per exchange.
 */
import { readdir, readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DecodeError } from '../../src/errors.ts';
import type { RestRequest, StreamKey, WsAdapter } from '../../src/ingest/adapter.ts';
import { exchangeIds, loadAdapter } from '../../src/ingest/registry.ts';

interface Fixture {
  readonly name: string;
  readonly frames: readonly string[];
  /** What reads the frames: the socket by default, else a REST parser. */
  readonly parser?: 'bookSeed' | 'markets' | 'candleHistory' | 'tradeHistory';
  readonly venueSymbol?: string;
  /** Of a REST answer: the request for it, the arguments of that, and what is asked for next. */
  readonly request?: RestRequest;
  readonly asked?: readonly (string | number)[];
  readonly next?: RestRequest | null;
  readonly expected: readonly unknown[];
}

interface SubscribeFixture {
  readonly streams: readonly StreamKey[];
  readonly endpoints: readonly string[];
  readonly sent: readonly string[];
}

const FIXTURES = new URL('../fixtures/', import.meta.url);
const EXCHANGES = new URL('../../src/ingest/exchanges/', import.meta.url);

async function json<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(new URL(path, FIXTURES), 'utf8')) as T;
}

async function fixturesOf(exchange: string): Promise<Fixture[]> {
  const names = (await readdir(new URL(exchange, FIXTURES))).filter((n) => n !== 'subscribe.json');
  return Promise.all(
    names.map(async (file) => {
      const fixture = await json<Omit<Fixture, 'name'>>(`${exchange}/${file}`);
      return { ...fixture, name: file.replace('.json', '') };
    }),
  );
}

function decode(adapter: WsAdapter, { frames, parser, venueSymbol = '' }: Fixture): unknown[] {
  const state = adapter.open({ bookDepth: 20 });
  return frames.flatMap((frame): readonly unknown[] => {
    if (parser === 'markets') return adapter.markets?.parse(frame) ?? [];
    if (parser === 'bookSeed') return [adapter.book?.seed?.parse(frame, venueSymbol)];
    if (parser === 'candleHistory')
      return adapter.history?.candles?.parse(frame, venueSymbol) ?? [];
    if (parser === 'tradeHistory') return adapter.history?.trades?.parse(frame, venueSymbol) ?? [];
    return adapter.decode(frame, state);
  });
}

function requestOf(adapter: WsAdapter, { parser, venueSymbol = '', asked = [] }: Fixture): unknown {
  const [first, second] = asked;
  const { candles, trades } = adapter.history ?? {};
  if (parser === 'candleHistory')
    return candles?.request(venueSymbol, Number(first), Number(second));
  if (parser === 'tradeHistory') return trades?.request(venueSymbol, String(first));
  if (parser === 'bookSeed') return adapter.book?.seed?.request(venueSymbol, Number(first));
  return adapter.markets?.requests[0];
}

describe.each(exchangeIds)('%s', async (exchange) => {
  const adapter = await loadAdapter(exchange);
  const fixtures = await fixturesOf(exchange);
  const source = await readFile(new URL(`${exchange}.ts`, EXCHANGES), 'utf8');

  test('names itself as it is registered', () => {
    expect(adapter.id).toBe(exchange);
  });

  const histories = adapter.history?.trades ? [adapter.history.trades] : [];
  test.each(histories)('asks for the newest trade alone', (trades) => {
    const { query } = trades.newest('X');
    expect(query).toEqual({ ...('symbol' in query && { symbol: 'X' }), limit: '1' });
  });

  test.each(fixtures)('decodes $name', (fixture) => {
    expect(decode(adapter, fixture)).toEqual(fixture.expected);
  });

  test.each(fixtures.filter(({ request }) => request))('asks for $name', (fixture) => {
    expect(requestOf(adapter, fixture)).toEqual(fixture.request);
    if (fixture.next === undefined) return;
    expect(adapter.markets?.next?.(fixture.frames[0] ?? '')).toEqual(fixture.next);
  });

  test('subscribes as its fixture says, the same on each connection', async () => {
    const fixture = await json<SubscribeFixture>(`${exchange}/subscribe.json`);
    const endpoints = adapter.endpoints(fixture.streams);
    expect(endpoints.map(({ path }) => path)).toEqual(fixture.endpoints);
    for (let connection = 0; connection < 2; connection++) {
      const frames = endpoints.flatMap(({ streams }) =>
        adapter.subscribe(streams, adapter.open({ bookDepth: 20 })),
      );
      expect(frames.map(({ text }) => text)).toEqual(fixture.sent);
    }
  });

  test('splits subscriptions within its limits, each stream once', () => {
    const streams = Array.from({ length: adapter.limits.streamsPerFrame * 2 + 1 }, (_, i) => ({
      channel: 'trades' as const,
      venueSymbol: `S${i}`,
    }));
    const frames = adapter.subscribe(streams, adapter.open({ bookDepth: 20 }));
    expect(frames.flatMap((frame) => frame.streams)).toEqual(streams);
    expect(new Set(frames.flatMap(({ awaits }) => awaits)).size).toBeGreaterThanOrEqual(
      frames.length,
    );
    for (const frame of frames) {
      expect(frame.streams.length).toBeLessThanOrEqual(adapter.limits.streamsPerFrame);
    }
  });

  test('has a fixture for each channel, and its evidence names the fixtures that exist', () => {
    const kinds = { trades: 'trade', candles: 'candle', order_book: 'book' };
    const decoded = fixtures.flatMap((fixture) => fixture.expected) as { kind?: string }[];
    for (const channel of Object.keys(adapter.channels) as (keyof typeof kinds)[]) {
      expect(decoded.some(({ kind }) => kind === kinds[channel])).toBe(true);
    }
    const named = [...source.matchAll(new RegExp(`\\| ${exchange}/([a-z-]+)`, 'g'))].map(
      (m) => m[1],
    );
    expect(named.length).toBeGreaterThan(0);
    for (const name of named) expect(fixtures.map((f) => f.name)).toContain(name);
  });

  test('any damage to a frame gives a coded error or sound events, never NaN or undefined', () => {
    const frames = fixtures.filter((f) => !f.parser).flatMap((fixture) => fixture.frames);
    const junk = fc.constantFrom(
      '',
      '0',
      '-1',
      '1e400',
      'null',
      '"x"',
      '{}',
      '[[[]]]',
      'NaN',
      '\u0000',
    );
    const damaged = fc
      .tuple(fc.constantFrom(...frames), fc.nat(), fc.nat(40), junk)
      .map(([frame, seed, length, text]) => {
        const at = seed % frame.length;
        return frame.slice(0, at) + text + frame.slice(at + length);
      });
    fc.assert(
      fc.property(damaged, (frame) => {
        let events: readonly unknown[];
        try {
          events = adapter.decode(frame, adapter.open({ bookDepth: 20 }));
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
          return;
        }
        for (const event of events) expectSound(event);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('the files of the exchanges', async () => {
  const files = await readdir(EXCHANGES);

  test.each(files)('%s is pure and of a size that one can read', async (file) => {
    const source = await readFile(new URL(file, EXCHANGES), 'utf8');
    expect(source.split('\n').length).toBeLessThanOrEqual(220);
    const imports = [...source.matchAll(/from '([^']+)'/g)].map((match) => match[1]);
    for (const path of imports) {
      expect(path).toMatch(/^(\.\.\/(adapter|events|trade-pattern|wire)|\.\/[a-z-]+)\.ts$/);
    }
  });
});

const DECIMAL = /^\d{1,20}(\.\d{1,20})?$/;

function expectSound(event: unknown): void {
  for (const [key, value] of Object.entries(event as object)) {
    expect(value, key).not.toBeUndefined();
    if (typeof value === 'number') expect(Number.isSafeInteger(value), key).toBe(true);
    if (['price', 'quantity', 'open', 'high', 'low', 'close', 'volume'].includes(key)) {
      expect(value, key).toMatch(DECIMAL);
    }
    if (key === 'bids' || key === 'asks') {
      for (const cell of (value as string[][]).flat()) expect(cell).toMatch(DECIMAL);
    }
  }
}
