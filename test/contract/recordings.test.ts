/**
 * The shared recordings of Binance (2021: aggregate trades, candles, many books; 2024: trades and one
 * book) through `replay`, as a function and as the command, against an independent reference, text
 * for text.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readRecordings } from '../../src/ingest/recording.ts';
import { loadAdapter } from '../../src/ingest/registry.ts';
import { replay, type Replayed, type ReplayProblem } from '../../src/ingest/replay.ts';
import { hyperfeed, runHyperfeed, runProgram, temporaryFolder } from '../support/daemon.ts';
import { expectedDir, recordingFiles } from '../support/recordings.ts';
import { waitFor } from '../support/stack.ts';

const absent = expectedDir() === undefined;
const OLD = recordingFiles('binance', /^(book|trades|candles|control|markets)\.jsonl/);
const NEW = recordingFiles('binance', /\.hft\.jsonl/);
const TRADES = OLD.find((file) => file.includes('trades')) ?? '';

interface ExpectedTrade {
  readonly n: number;
  readonly symbol: string;
  readonly trade_id: string;
  readonly side: string;
  readonly price: string;
  readonly qty: string;
  readonly time: string;
}

interface ExpectedBook {
  readonly n: number;
  readonly symbol: string;
  readonly time: string | null;
  readonly bids?: string[][];
  readonly asks?: string[][];
}

interface Line {
  readonly type: 'trade' | 'candle' | 'order_book';
  readonly exchange: string;
  readonly symbol: string | null;
  readonly venueSymbol: string;
  readonly time: string;
  readonly [member: string]: unknown;
}

async function expected<T>(file: string): Promise<T[]> {
  const bytes = await readFile(join(expectedDir() ?? '', 'binance', file));
  const text = file.endsWith('.gz') ? gunzipSync(bytes).toString() : bytes.toString();
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);
}

async function expectedTrades(file: string) {
  return (await expected<ExpectedTrade>(file)).map((t) => ({
    n: t.n,
    trade: [t.symbol, t.trade_id, t.side, t.price, t.qty, t.time],
  }));
}

/** The states that are published. A snapshot has no time of its own. */
async function expectedBooks(file: string) {
  const books = (await expected<ExpectedBook>(file)).filter(({ bids }) => bids !== undefined);
  return books.map(({ n, symbol, time, bids, asks }) => ({ n, book: [symbol, time, bids, asks] }));
}

const tradeOf = (line: Line) =>
  [line.venueSymbol, line.tradeId, line.side, line.price, line.quantity, line.time] as unknown[];

/** Like the expectation: its time where that has one. */
const bookOf = (line: Line, like: { book: unknown[] } | undefined) => [
  line.venueSymbol,
  like?.book[1] === null ? null : line.time,
  line.bids,
  line.asks,
];

async function replayed(files: readonly string[]): Promise<{
  events: Replayed[];
  problems: ReplayProblem[];
}> {
  const events: Replayed[] = [];
  const problems: ReplayProblem[] = [];
  for await (const event of replay({
    adapter: await loadAdapter('binance'),
    lines: readRecordings(files),
    depth: 20,
    instruments: [],
    onProblem: (problem) => problems.push(problem),
  })) {
    events.push(event);
  }
  return { events, problems };
}

const iso = (micros: number) =>
  `${new Date(Math.floor(micros / 1000)).toISOString().slice(0, 23)}${String(micros % 1000).padStart(3, '0')}Z`;

async function command(...args: string[]) {
  const { code, stdout, stderr } = await runHyperfeed(['replay', '--exchange', 'binance', ...args]);
  return { code, stderr, text: stdout, lines: stdout.map((line) => JSON.parse(line) as Line) };
}

describe.skipIf(absent).each([
  { of: '2021', files: OLD, trades: 'trades.jsonl', books: 'book.jsonl.gz', closed: true },
  { of: '2024', files: NEW, trades: 'trades.hft.jsonl.gz', books: 'book.hft.jsonl.gz' },
])('the recordings of $of', ({ files, trades, books, closed }) => {
  test('replay() gives each trade and each state of each book, with the frame it came from', async () => {
    const { events, problems } = await replayed(files);
    expect(problems).toEqual([]);
    const gotTrades = events.flatMap(({ event: e, line }) =>
      e.kind === 'trade'
        ? { n: line.n, trade: [e.venueSymbol, e.tradeId, e.side, e.price, e.quantity, iso(e.time)] }
        : [],
    );
    expect(gotTrades).toEqual(await expectedTrades(trades));
    const wanted = await expectedBooks(books);
    const gotBooks = events
      .filter(({ event }) => event.kind === 'order_book')
      .map(({ event: e, line }, i) => {
        if (e.kind !== 'order_book') throw new Error('not a book');
        const time = wanted[i]?.book[1] === null ? null : iso(e.time);
        return { n: line.n, book: [e.venueSymbol, time, e.bids, e.asks] };
      });
    expect(gotBooks.length).toBe(wanted.length);
    expect(gotBooks).toEqual(wanted);
  });

  test('the command prints the same, as NDJSON and nothing else', async () => {
    const { code, stderr, lines } = await command(...files);
    expect(stderr).toEqual([]);
    expect(code).toBe(0);
    expect(new Set(lines.map(({ exchange }) => exchange))).toEqual(new Set(['binance']));
    expect(lines.filter(({ type }) => type === 'trade').map(tradeOf)).toEqual(
      (await expectedTrades(trades)).map(({ trade }) => trade),
    );
    const wanted = await expectedBooks(books);
    const got = lines.filter(({ type }) => type === 'order_book');
    expect(got.map((line, i) => bookOf(line, wanted[i]))).toEqual(wanted.map(({ book }) => book));
    const candles = lines
      .filter(({ type }) => type === 'candle')
      .map((c) => [c.venueSymbol, c.time, c.open, c.high, c.low, c.close, c.volume, c['trades']]);
    const wantedCandles = closed
      ? (await expected<Record<string, unknown>>('candles.closed.jsonl')).map((c) =>
          // prettier-ignore
          [c['symbol'], c['open_time'], c['open'], c['high'], c['low'], c['close'], c['volume'], c['trades']],
        )
      : [];
    expect(candles).toEqual(wantedCandles);
  });
});

describe.skipIf(absent)('replay, the command', () => {
  test('takes the files in any order, compressed or not', async () => {
    const folder = await temporaryFolder();
    const other: string[] = [];
    for (const file of OLD) {
      const bytes = await readFile(file);
      const name = file.slice(file.lastIndexOf('/') + 1);
      const swapped = join(folder, name.endsWith('.gz') ? name.slice(0, -3) : `${name}.gz`);
      await writeFile(swapped, name.endsWith('.gz') ? gunzipSync(bytes) : gzipSync(bytes));
      other.unshift(swapped);
    }
    const [one, two] = await Promise.all([command(...OLD), command(...other)]);
    expect(one.lines.length).toBe(1002);
    expect(two.text).toEqual(one.text);
    expect(two.code).toBe(0);
  });

  test('names markets by the list of the recording, else by --symbols, else not', async () => {
    const nameOf = async (...args: string[]) => (await command(...args)).lines[0]?.symbol;
    const markets = OLD.find((file) => file.includes('markets')) ?? '';
    expect(await nameOf(TRADES)).toBe(null);
    expect(await nameOf(TRADES, markets)).toBe('SWRV/BUSD');
    expect(await nameOf(TRADES, '--symbols', 'SWRV/BUSD')).toBe('SWRV/BUSD');
  });

  test('--channels leaves the others out', async () => {
    const { lines } = await command(...OLD, '--channels', 'trades,candles');
    const counts = Map.groupBy(lines, ({ type }) => type);
    expect([...counts].map(([type, some]) => `${some.length} ${type}`).toSorted()).toEqual([
      '1 candle',
      '40 trade',
    ]);
  });

  test('--depth cuts the books', async () => {
    const book = OLD.find((file) => file.includes('book')) ?? '';
    const { lines } = await command(book, '--depth', '3');
    const depths = lines.map(({ bids, asks }) => [
      (bids as unknown[]).length,
      (asks as unknown[]).length,
    ]);
    expect(lines.length).toBe(961);
    expect(new Set(depths.flat())).toEqual(new Set([3]));
  });

  test('a line that is none: said with its place, exit 1', async () => {
    const file = join(await temporaryFolder(), 'broken.jsonl');
    const lines = (await readFile(TRADES, 'utf8')).split('\n');
    lines[2] = lines[2]?.slice(0, 50) ?? '';
    await writeFile(file, lines.join('\n'));
    const { code, stderr } = await command(file);
    expect(code).toBe(1);
    expect(stderr.join('\n')).toContain(`${file}:3: `);
  });

  test('a frame that cannot be trusted: said with its number, the others are used, exit 1', async () => {
    const file = join(await temporaryFolder(), 'odd.jsonl');
    const lines = (await readFile(TRADES, 'utf8')).split('\n');
    lines[1] = lines[1]?.replace('8.13000000', '8,13') ?? '';
    await writeFile(file, lines.join('\n'));
    const { code, stderr, text } = await command(file);
    expect([code, text.length]).toEqual([1, 39]);
    expect(stderr).toEqual([expect.stringContaining('cf-binance-20210417 n=72: bad_decimal')]);
  });

  test('what cannot be: exit 1 or 2, and why', async () => {
    const missing = await command('/nowhere/x.jsonl');
    expect([missing.code, missing.stderr.join()]).toEqual([
      1,
      expect.stringContaining('/nowhere/x.jsonl'),
    ]);
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'x.jsonl.gz'), 'not gzip');
    const damaged = await command(join(folder, 'x.jsonl.gz'));
    expect([damaged.code, damaged.stderr.join()]).toEqual([
      1,
      expect.stringContaining('x.jsonl.gz'),
    ]);
    const unknown = await runHyperfeed(['replay', '--exchange', 'binanse', TRADES]);
    expect([unknown.code, unknown.stderr.join()]).toEqual([2, expect.stringContaining('binance')]);
    expect((await runHyperfeed(['replay'])).code).toBe(2);
  });

  test('a slow reader gets every byte', async () => {
    const quick = await command(...OLD);
    // The pipe is full most of the time, and at the end: what waits must not go with the process.
    const reader = `
      const { readSync, writeFileSync } = require('node:fs');
      const piece = Buffer.alloc(4096);
      const rest = new Int32Array(new SharedArrayBuffer(4));
      let text = '';
      for (let n; (n = readSync(0, piece)) > 0; Atomics.wait(rest, 0, 0, 1)) {
        text += piece.toString('latin1', 0, n);
      }
      writeFileSync(process.argv[1], text, 'latin1');`;
    const file = join(await temporaryFolder(), 'output');
    const script = 'set -o pipefail; "$1" bin/hyperfeed.js "${@:4}" | "$1" -e "$2" "$3"';
    const { code } = await runProgram('bash', [
      // prettier-ignore
      '-c',
      script,
      'bash',
      process.execPath,
      reader,
      file,
      'replay',
      '--exchange',
      'binance',
      ...OLD,
    ]);
    expect(code).toBe(0);
    expect((await readFile(file, 'utf8')).split('\n').slice(0, -1)).toEqual(quick.text);
  });

  test('a reader that has seen enough ends it without a word', async () => {
    const child = hyperfeed(['replay', '--exchange', 'binance', ...NEW]);
    await waitFor(() => child.stdout.length > 0, { what: 'the first line' });
    child.hangUp();
    expect(await child.ended).toEqual({ code: 0, signal: null });
    expect(child.stderr).toEqual([]);
  });
});
