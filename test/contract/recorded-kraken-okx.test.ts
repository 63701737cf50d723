/**
 * Recordings of Kraken and OKX through `replay`, against an independent reference, text for text,
 * times and frames included.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readRecordings } from '../../src/ingest/recording.ts';
import { loadAdapter } from '../../src/ingest/registry.ts';
import { replay, type ReplayProblem } from '../../src/ingest/replay.ts';
import { expectedDir, recordingFiles } from '../support/recordings.ts';

interface Recorded {
  readonly exchange: string;
  /** Where the recordings are. */
  readonly folder: string;
  readonly files: RegExp;
  /** Expected files, and how many lines of each kind; a kind without a file must not come out. */
  readonly expected: Readonly<Partial<Record<Kind, string>>>;
  readonly counts: Readonly<Record<Kind, number>>;
}

type Kind = 'trade' | 'candle' | 'order_book';

const BOOK = 'book.ethusd-d25-20260802.jsonl';

const RECORDINGS: readonly Recorded[] = [
  {
    exchange: 'kraken',
    folder: 'kraken-v2',
    files: /^(book|control)\./,
    expected: { order_book: `${BOOK}.gz` },
    counts: { trade: 0, candle: 0, order_book: 1129 },
  },
  {
    exchange: 'okx',
    folder: 'okx',
    files: /^(book|candles|control|markets|ticker|trades)\./,
    expected: {
      trade: 'trades.jsonl',
      candle: 'candles.closed.jsonl',
      order_book: 'book.jsonl.gz',
    },
    counts: { trade: 112, candle: 2, order_book: 1797 },
  },
];

/** A line of an expected file; which members it has depends on the file. */
interface Expected {
  readonly rec: string;
  readonly n: number;
  readonly symbol: string;
  readonly [member: string]: unknown;
}

async function readExpected(folder: string, name: string): Promise<Expected[]> {
  const bytes = await readFile(join(expectedDir() ?? '', folder, name));
  const text = name.endsWith('.gz') ? gunzipSync(bytes).toString() : bytes.toString();
  const lines = text.split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Expected);
}

/** One line an event, as both sides can write it. */
function expectedTexts(kind: Kind, lines: readonly Expected[], depth: number): string[] {
  return lines.map((e) => {
    switch (kind) {
      case 'trade':
        return lineOf(e, e['trade_id'], e['side'], e['price'], e['qty'], e['time']);
      case 'candle': {
        const { open_time: time, open, high, low, close, volume, trades, last_n: n } = e;
        return lineOf({ ...e, n }, time, open, high, low, close, volume, trades);
      }
      case 'order_book':
        return lineOf(e, e['time'], cut(e['bids'], depth), cut(e['asks'], depth));
    }
  });
}

async function replayedTexts({ exchange }: Recorded, files: readonly string[], depth: number) {
  const texts: Record<Kind, string[]> = { trade: [], candle: [], order_book: [] };
  const problems: ReplayProblem[] = [];
  for await (const { event, line } of replay({
    adapter: await loadAdapter(exchange),
    lines: readRecordings(files),
    depth,
    instruments: [],
    onProblem: (problem) => problems.push(problem),
  })) {
    const place = { rec: line.rec, n: line.n, symbol: event.venueSymbol };
    const time = iso(event.time);
    switch (event.kind) {
      case 'trade': {
        const { tradeId, side, price, quantity } = event;
        texts.trade.push(lineOf(place, tradeId, side, price, quantity, time));
        break;
      }
      case 'candle': {
        const { open, high, low, close, volume, trades } = event;
        texts.candle.push(lineOf(place, time, open, high, low, close, volume, trades));
        break;
      }
      case 'order_book':
        texts.order_book.push(lineOf(place, time, event.bids, event.asks));
    }
  }
  return { texts, problems };
}

function lineOf(place: Readonly<Record<'rec' | 'n' | 'symbol', unknown>>, ...values: unknown[]) {
  return JSON.stringify([place.rec, place.n, place.symbol, ...values]);
}

function cut(side: unknown, depth: number): unknown[] {
  return (side as unknown[]).slice(0, depth);
}

function iso(micros: number): string {
  const millis = new Date(Math.floor(micros / 1000)).toISOString().slice(0, 23);
  return `${millis}${String(micros % 1000).padStart(3, '0')}Z`;
}

describe.skipIf(expectedDir() === undefined).each(RECORDINGS)('$exchange, recorded', (recorded) => {
  const { folder, files, expected, counts } = recorded;
  const recordings = recordingFiles(folder, files);
  const all: readonly Kind[] = ['trade', 'candle', 'order_book'];
  const books = recordings.filter((file) => file.includes('/book.'));

  test.each([
    {
      what: 'each trade, closed candle and state of a book',
      from: recordings,
      kinds: all,
      depth: 20,
    },
    {
      what: 'books as deep as subscribed, not as published',
      from: recordings,
      kinds: all,
      depth: 5,
    },
    { what: 'books that nothing acknowledged', from: books, kinds: ['order_book'], depth: 20 },
  ] as const)('gives $what', async ({ from, kinds, depth }) => {
    const { texts, problems } = await replayedTexts(recorded, from, depth);
    expect(problems).toEqual([]);
    for (const kind of kinds) {
      const file = expected[kind];
      const wanted = file === undefined ? [] : await readExpected(folder, file);
      expect(texts[kind].length).toBe(counts[kind]);
      // The reference orders the recordings of a file in its own way.
      expect(texts[kind].toSorted()).toEqual(expectedTexts(kind, wanted, depth).toSorted());
    }
  });
});
