/** A recording of Bitstamp through `replay`, against an independent reference, text for text. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { bitstamp } from '../../src/ingest/exchanges/bitstamp.ts';
import { readRecordings } from '../../src/ingest/recording.ts';
import { replay, type Replayed, type ReplayProblem } from '../../src/ingest/replay.ts';
import { expectedDir, recordingFiles } from '../support/recordings.ts';

const DEPTH = 20;

interface Expected extends Readonly<Record<string, unknown>> {
  readonly action?: string;
  readonly symbol: string;
  readonly n: number;
}

async function readExpected(name: string): Promise<Expected[]> {
  const bytes = await readFile(join(expectedDir() ?? '', 'bitstamp', name));
  const text = name.endsWith('.gz') ? gunzipSync(bytes).toString() : bytes.toString();
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Expected);
}

async function replayed(): Promise<{ all: Replayed[]; problems: ReplayProblem[] }> {
  const problems: ReplayProblem[] = [];
  const lines = readRecordings(recordingFiles('bitstamp', /./));
  const onProblem = (problem: ReplayProblem) => void problems.push(problem);
  const options = { adapter: bitstamp, lines, depth: DEPTH, instruments: [], onProblem };
  const all: Replayed[] = [];
  for await (const one of replay(options)) all.push(one);
  return { all, problems };
}

const time = (micros: number) =>
  `${new Date(Math.floor(micros / 1e6) * 1000).toISOString().slice(0, 19)}.${String(micros % 1e6).padStart(6, '0')}Z`;

const top = (side: unknown) => (side as unknown[]).slice(0, DEPTH);

describe.skipIf(expectedDir() === undefined)('bitstamp, recorded', () => {
  test('gives each trade', async () => {
    const { all, problems } = await replayed();
    const actual = all.flatMap(({ event: e, line }) =>
      e.kind === 'trade'
        ? [[line.n, e.venueSymbol, e.tradeId, e.side, e.price, e.quantity, time(e.time)]]
        : [],
    );
    const expected = (await readExpected('trades.jsonl')).map((e) =>
      ['n', 'symbol', 'trade_id', 'side', 'price', 'qty', 'time'].map((name) => e[name]),
    );
    expect(problems).toEqual([]);
    expect(actual.length).toBe(16);
    expect(actual).toEqual(expected);
  });

  test('gives each state of a book', async () => {
    const { all } = await replayed();
    const actual = all.flatMap(({ event: e }) =>
      e.kind === 'order_book'
        ? [JSON.stringify([e.venueSymbol, time(e.time), e.bids, e.asks])]
        : [],
    );
    const expected = (await readExpected('book.jsonl.gz'))
      .filter((e) => e.action !== 'stale')
      .map((e) => JSON.stringify([e.symbol, e['time'], top(e['bids']), top(e['asks'])]));
    expect(actual.length).toBe(537);
    expect(actual.toSorted()).toEqual(expected.toSorted());
  });
});
