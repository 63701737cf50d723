/**
 * Recordings of Binance USD-M and Bybit through `replay`, against an independent reference, text for
 * text, times and frames included.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { DecodedCandle, DecodedTrade } from '../../src/ingest/adapter.ts';
import type { Instrument } from '../../src/ingest/events.ts';
import { assumeInstrument } from '../../src/ingest/instruments.ts';
import { readRecordings } from '../../src/ingest/recording.ts';
import { loadAdapter } from '../../src/ingest/registry.ts';
import { replay, type Replayed, type ReplayProblem } from '../../src/ingest/replay.ts';
import { expectedDir, recordingFiles } from '../support/recordings.ts';

interface Recorded {
  readonly exchange: string;
  /** Of the recorded files. */
  readonly files: RegExp;
  /** Of the expected files, before `.jsonl`. */
  readonly suffix: '' | '.hft';
}

const RECORDINGS: readonly Recorded[] = [
  { exchange: 'binance-usdm', files: /^(book|trades|candles|markets)\.jsonl/, suffix: '' },
  { exchange: 'binance-usdm', files: /^(book|trades)\.hft\.jsonl/, suffix: '.hft' },
  { exchange: 'bybit-linear', files: /^(book|trades|candles|control|markets)\.jsonl/, suffix: '' },
  { exchange: 'bybit-spot', files: /^(book|trades|candles|control|markets)\.jsonl/, suffix: '' },
];

/** A line of an expected file; which members it has depends on the file. */
interface Expected {
  readonly n: number;
  readonly i: number;
  readonly symbol: string;
  readonly [member: string]: unknown;
}

async function expected(exchange: string, name: string): Promise<Expected[]> {
  const base = join(expectedDir() ?? '', exchange, `${name}.jsonl`);
  const text = await readFile(base, 'utf8').catch(async (error: { code?: string }) => {
    if (error.code !== 'ENOENT') throw error;
    return readFile(`${base}.gz`).then((bytes) => gunzipSync(bytes).toString());
  });
  const lines = text.split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Expected);
}

async function replayed({ exchange, files }: Recorded, markets: Instrument[] = []) {
  const events: Replayed[] = [];
  const problems: ReplayProblem[] = [];
  for await (const event of replay({
    adapter: await loadAdapter(exchange),
    lines: readRecordings(recordingFiles(exchange, files)),
    depth: 20,
    instruments: [],
    onProblem: (problem) => problems.push(problem),
    onMarkets: (list) => markets.push(...list),
  })) {
    events.push(event);
  }
  return { events, problems };
}

function iso(micros: number): string {
  const millis = Math.floor(micros / 1000);
  return `${new Date(millis).toISOString().slice(0, 23)}${String(micros % 1000).padStart(3, '0')}Z`;
}

const tradeText = (t: DecodedTrade) =>
  [t.venueSymbol, t.tradeId, t.side, t.price, t.quantity, iso(t.time)].join(' ');

const candleText = (c: DecodedCandle) =>
  [c.venueSymbol, iso(c.time), c.open, c.high, c.low, c.close, c.volume, c.trades].join(' ');

const expectedCandle = (c: Expected) =>
  // oxfmt-ignore
  [c.symbol, c['open_time'], c['open'], c['high'], c['low'], c['close'], c['volume'], c['trades']].join(' ');

const absent = expectedDir() === undefined;

describe.skipIf(absent).each(RECORDINGS)('$exchange $suffix, recorded', (recorded) => {
  const { exchange, suffix } = recorded;

  test('gives each trade and each state of each book, in order', async () => {
    const { events, problems } = await replayed(recorded);
    expect(problems).toEqual([]);

    const trades = events.flatMap(({ event, line }) =>
      event.kind === 'trade' ? [`${line.n} ${tradeText(event)}`] : [],
    );
    const wantedTrades = await expected(exchange, `trades${suffix}`);
    expect(trades).toEqual(
      // oxfmt-ignore
      wantedTrades.map((t) => [t.n, t.symbol, t['trade_id'], t['side'], t['price'], t['qty'], t['time']].join(' ')),
    );

    const wantedBooks = await expected(exchange, `book${suffix}`);
    const published = wantedBooks.filter(({ bids }) => bids !== undefined);
    const books = events.flatMap(({ event, line }) =>
      event.kind === 'order_book' ? [{ event, n: line.n }] : [],
    );
    expect(books.length).toBe(published.length);
    expect(
      books.map(({ n, event: { venueSymbol, time, bids, asks } }, i) => {
        // The reference gives the state after a snapshot the snapshot's time, also where changes
        // that came before the answer are in that state.
        const known = published[i]?.['action'] === 'update';
        return [n, venueSymbol, known ? iso(time) : null, bids, asks];
      }),
    ).toEqual(
      published.map((b) => [
        b.n,
        b.symbol,
        b['action'] === 'update' ? b['time'] : null,
        b['bids'],
        b['asks'],
      ]),
    );
  });
});

describe.skipIf(absent).each(RECORDINGS.filter(({ suffix }) => suffix === ''))(
  '$exchange, recorded candles',
  (recorded) => {
    const { exchange, files } = recorded;

    test('decode to each state, and to the closed ones once', async () => {
      const adapter = await loadAdapter(exchange);
      const state = adapter.open({ bookDepth: 20 });
      const states: string[] = [];
      for await (const line of readRecordings(recordingFiles(exchange, files))) {
        if (line.dir !== 'in') continue;
        for (const decoded of adapter.decode(line.frame, state)) {
          if (decoded.kind === 'candle')
            states.push(`${line.n} ${candleText(decoded)} ${decoded.closed}`);
        }
      }
      const wanted = await expected(exchange, 'candles');
      expect(states).toEqual(
        wanted.map((c) => `${c.n} ${expectedCandle(c)} ${String(c['closed'])}`),
      );

      const { events } = await replayed(recorded);
      const closed = events.flatMap(({ event }) =>
        event.kind === 'candle' ? [candleText(event)] : [],
      );
      expect(closed).toEqual((await expected(exchange, 'candles.closed')).map(expectedCandle));
    });

    test('markets have one name each, which also leads back without the list', async () => {
      const adapter = await loadAdapter(exchange);
      const markets: Instrument[] = [];
      const { events } = await replayed(recorded, markets);
      expect(markets.length).toBeGreaterThan(100);
      expect(new Set(markets.map(({ symbol }) => symbol)).size).toBe(markets.length);
      expect(markets.map(({ symbol }) => assumeInstrument(symbol, adapter).venueSymbol)).toEqual(
        markets.map(({ venueSymbol }) => venueSymbol),
      );
      expect(events.filter(({ symbol }) => symbol === null)).toEqual([]);
    });
  },
);
