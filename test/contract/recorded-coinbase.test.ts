/**
 * The shared recordings of both Coinbase feeds through `replay`, and the candles that Binance's
 * recorded trades make, against an independent reference, text for text.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { DecodedCandle, WsAdapter } from '../../src/ingest/adapter.ts';
import { createCandleBuilder } from '../../src/ingest/candle-builder.ts';
import { readRecordings, type RecordedLine } from '../../src/ingest/recording.ts';
import { loadAdapter } from '../../src/ingest/registry.ts';
import { replay, type Replayed, type ReplayProblem } from '../../src/ingest/replay.ts';
import { expectedDir, recordingFiles } from '../support/recordings.ts';

interface Expected {
  readonly n: number;
  readonly symbol: string;
  readonly time: string | null;
  readonly [member: string]: unknown;
}

interface Recording {
  readonly exchange: string;
  readonly trades: string;
  readonly books: string;
  /** Of a minute; the stream of five minutes that was recorded has no place in our tables. */
  readonly candles: readonly unknown[];
}

const RECORDINGS: readonly Recording[] = [
  {
    exchange: 'coinbase-exchange',
    trades: 'trades.jsonl',
    books: 'book.jsonl.gz',
    candles: [],
  },
  {
    exchange: 'coinbase-advanced',
    trades: 'trades.jsonl',
    books: 'book.jsonl.gz',
    // The stream's own candle of five minutes has this open, high and low, a quarter of its time in.
    candles: [
      [
        'ETH-USD',
        '2026-08-09T21:05:00.000000Z',
        '1919.58',
        '1919.6',
        '1919.27',
        '1919.5',
        '45.46521807',
        77,
      ],
    ],
  },
];

const absent = expectedDir() === undefined;

async function expected<T = Expected>(exchange: string, file: string): Promise<T[]> {
  const bytes = await readFile(join(expectedDir() ?? '', exchange, file));
  const text = file.endsWith('.gz') ? gunzipSync(bytes).toString() : bytes.toString();
  const lines = text.split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as T);
}

async function replayed(adapter: WsAdapter, lines: AsyncIterable<RecordedLine>) {
  const events: Replayed[] = [];
  const problems: ReplayProblem[] = [];
  const onProblem = (problem: ReplayProblem) => problems.push(problem);
  for await (const event of replay({ adapter, lines, depth: 20, instruments: [], onProblem })) {
    events.push(event);
  }
  return { events, problems };
}

const iso = (micros: number) =>
  `${new Date(Math.floor(micros / 1000)).toISOString().slice(0, 23)}${String(micros % 1000).padStart(3, '0')}Z`;

describe.skipIf(absent).each(RECORDINGS)('the recording of $exchange', (recording) => {
  const { exchange } = recording;
  const files = recordingFiles(exchange, /./);

  test('gives each trade, backlog and new, oldest first', async () => {
    const adapter = await loadAdapter(exchange);
    const { events, problems } = await replayed(adapter, readRecordings(files));
    expect(problems).toEqual([]);
    const got = events.flatMap(({ event: e, line: { n } }) =>
      e.kind === 'trade'
        ? {
            n,
            symbol: e.venueSymbol,
            trade_id: e.tradeId,
            side: e.side,
            price: e.price,
            qty: e.quantity,
            time: iso(e.time),
            snapshot: e.backlog ?? false,
          }
        : [],
    );
    const wanted = (await expected(exchange, recording.trades)).map(
      ({ n, symbol, trade_id, side, price, qty, time, snapshot }) => {
        return { n, symbol, trade_id, side, price, qty, time, snapshot };
      },
    );
    // The reference leaves the trades of a frame in its order, which may be newest first.
    const inOrder = wanted.toSorted((a, b) => a.n - b.n || Number(a.trade_id) - Number(b.trade_id));
    expect(got).toEqual(inOrder);
  });

  test('gives each state of each book', async () => {
    const adapter = await loadAdapter(exchange);
    const { events } = await replayed(adapter, readRecordings(files));
    const wanted = (await expected(exchange, recording.books)).filter(({ bids }) => bids);
    const books = events.filter(({ event }) => event.kind === 'order_book');
    expect(books.length).toBe(wanted.length);
    books.forEach(({ event: e, line }, i) => {
      const { n, symbol, time, bids, asks } = wanted[i] as Expected;
      if (e.kind !== 'order_book') return;
      const got = { n: line.n, symbol: e.venueSymbol, bids: e.bids, asks: e.asks };
      expect(got).toEqual({ n, symbol, bids, asks });
      // A snapshot of the Exchange has no time of its own.
      if (time !== null) expect(iso(e.time)).toBe(time);
    });
  });

  test('gives the candles of the minutes whose trades are all in it', async () => {
    const { events } = await replayed(await loadAdapter(exchange), readRecordings(files));
    const got = events.flatMap(({ event: e }) =>
      e.kind === 'candle'
        ? [[e.venueSymbol, iso(e.time), e.open, e.high, e.low, e.close, e.volume, e.trades]]
        : [],
    );
    expect(got).toEqual(recording.candles);
  });
});

describe.skipIf(absent)('a number that counts the whole connection', () => {
  /** The frames of the book alone, so that nothing is between them, renumbered without holes. */
  async function* bookFrames(leaveOut: number, complete: boolean): AsyncGenerator<RecordedLine> {
    let n = 0;
    for await (const line of readRecordings(recordingFiles('coinbase-advanced', /^book/))) {
      n++;
      if (n === leaveOut) continue;
      const frame = line.frame.replace(/"sequence_num":\d+/, `"sequence_num":${n}`);
      yield {
        ...line,
        frame,
        n: complete && n > leaveOut ? n - 1 : n,
      };
    }
  }

  test('a frame that was lost costs the book, until a snapshot; a line that was taken out does not', async () => {
    const adapter = await loadAdapter('coinbase-advanced');
    const lost = await replayed(adapter, bookFrames(100, true));
    expect(lost.events.length).toBe(99);
    const divided = await replayed(adapter, bookFrames(100, false));
    expect(divided.events.length).toBe(374);
  });
});

interface ExpectedCandle {
  readonly open_time: string;
  readonly partial: boolean;
  readonly [member: string]: unknown;
}

describe.skipIf(absent).each(['binance', 'binance-usdm'])('the trades of %s', (exchange) => {
  test('make the candles of the reference', async () => {
    const wanted = await expected<ExpectedCandle>(exchange, 'candles-1m-from-trades.hft.jsonl');
    const closed: { candle: DecodedCandle; whole: boolean }[] = [];
    const builder = createCandleBuilder({
      // The recording ends a second into a minute; its trades are in order.
      grace: 0,
      contiguousIds: true,
      closed: (candle, whole) => closed.push({ candle, whole }),
      unknown: () => undefined,
    });
    const adapter = await loadAdapter('binance');
    const lines = readRecordings(recordingFiles(exchange, /^trades\.hft/));
    const { events, problems } = await replayed(adapter, lines);
    expect(problems).toEqual([]);
    for (const { event } of events) {
      if (event.kind !== 'trade') continue;
      builder.advance(event.time);
      builder.trade(event);
    }
    builder.interrupted('BTCUSDT');
    builder.advance(Infinity);
    expect(
      closed.map(({ candle: c, whole }) => ({
        symbol: c.venueSymbol,
        interval: '1m',
        open_time: iso(c.time),
        open: c.open,
        high: c.high,
        low: c.low,
        close: c.close,
        volume: c.volume,
        trades: c.trades,
        partial: !whole,
      })),
    ).toEqual(wanted);
  });
});
