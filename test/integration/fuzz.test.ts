/**
 * Mutated frames of every adapter: none may end the process, and no row that comes out of one may be
 * refused by PostgreSQL or hold a digit that the frame did not.
 *
 * FUZZ_RUNS=200000 for more of them; FUZZ_SEED, which a failure prints, for the same again.
 */
import { readdir, readFile } from 'node:fs/promises';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { DecodeError } from '../../src/errors.ts';
import type { Decoded, WsAdapter } from '../../src/ingest/adapter.ts';
import { createCursor } from '../../src/ingest/cursor.ts';
import type { MarketEvent } from '../../src/ingest/events.ts';
import { createLiveBooks } from '../../src/ingest/live-books.ts';
import { createLiveCandles } from '../../src/ingest/live-candles.ts';
import { exchangeIds, loadAdapter } from '../../src/ingest/registry.ts';
import { createMetrics } from '../../src/metrics.ts';
import { encodeRow, rejectionOf, TABLES } from '../../src/writers/tables.ts';
import { copyRows } from '../support/batch.ts';
import { createMutator } from '../support/mutate.ts';
import { createRandom } from '../support/random.ts';
import { createMigrated, silent } from '../support/schema.ts';
import type { TestDatabase } from '../support/stack.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 20_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const FIXTURES = new URL('../fixtures/', import.meta.url);
/** Rows of one table that go to PostgreSQL, of each adapter. */
const SAMPLE = 3_000;
const MAX_TRADES = 10_000;

let database: TestDatabase;
beforeAll(async () => {
  database = await createMigrated(inject('timescale') !== undefined);
});
afterAll(() => database.drop());

async function fixturesOf(exchange: string): Promise<Fixture[]> {
  const folder = new URL(`${exchange}/`, FIXTURES);
  const files = (await readdir(folder)).filter((name) => name !== 'subscribe.json');
  return Promise.all(
    files.map(async (name) => JSON.parse(await readFile(new URL(name, folder), 'utf8')) as Fixture),
  );
}

interface Fixture {
  readonly frames: readonly string[];
  readonly parser?: 'bookSeed' | 'markets' | 'candleHistory' | 'tradeHistory';
}

/** The way of a frame through a session, without its socket. */
function createPath(adapter: WsAdapter, emit: (event: MarketEvent) => void) {
  const exchange = adapter.id;
  const now = () => 1_760_000_000_000_000;
  const rest = { get: () => new Promise<never>(() => {}) };
  const symbol = 'BTC/USDT';
  const ended = new AbortController();
  const cursor = createCursor();
  const books = createLiveBooks({
    adapter,
    depth: 20,
    rest,
    venueSymbols: [],
    publish: (book) => emit({ type: 'order_book', exchange, symbol, ...book }),
    lost: () => undefined,
    resubscribe: () => undefined,
    now,
    signal: ended.signal,
    metrics: createMetrics(exchange),
    logger: silent,
  });
  const candles = createLiveCandles({
    adapter,
    rest,
    graceMs: 2_000,
    emit: (candle) => emit({ type: 'candle', exchange, symbol, receivedAt: now(), ...candle }),
    now,
    logger: silent,
  });
  let state = adapter.open({ bookDepth: 20 });

  function handle(item: Decoded): void {
    if (item.kind === 'trade') {
      candles.trade(item, now());
      if (adapter.channels.trades === 'ids') cursor.observe(symbol, item.tradeId);
      emit({ type: 'trade', exchange, symbol, receivedAt: now(), ...item });
    }
    if (item.kind === 'candle') candles.candle(item);
    if (item.kind === 'book') books.apply(item, now());
    if (item.kind === 'gap') books.lose(item.venueSymbol, item.reason, now());
  }

  return {
    decode: (frame: string) => adapter.decode(frame, state),
    handle,
    reconnect() {
      state = adapter.open({ bookDepth: 20 });
    },
    end: () => ended.abort(),
  };
}

/** Every text and number of a frame, as it is spelled. Not by JSON.parse, which drops what comes twice. */
function spellings(frame: string): Set<string> {
  const found = new Set<string>();
  for (const [token] of frame.matchAll(/"(?:[^"\\]|\\.)*"|-?[\d.]+(?:[eE][-+]?\d+)?/g)) {
    found.add(token);
    if (!token.startsWith('"')) continue;
    try {
      found.add(JSON.parse(token) as string);
    } catch {
      // An escape that JSON does not have: no decoder reads it either.
    }
  }
  return found;
}

/** Without an exponent: `1.50e-3` -> `0.00150`. By moving the point, digit by digit. */
function moved(text: string): string {
  const [mantissa = '', exponent] = text.toLowerCase().split('e');
  if (exponent === undefined || !/^[\d.]+$/.test(mantissa) || Math.abs(+exponent) > 60) return text;
  const [units = '', fraction = ''] = mantissa.split('.');
  const padded = `${'0'.repeat(60)}${units}${fraction}${'0'.repeat(60)}`;
  const point = 60 + units.length + Number(exponent);
  const whole = padded.slice(0, point).replace(/^0+(?=\d)/, '');
  const decimals = Math.max(0, fraction.length - Number(exponent));
  return decimals > 0 ? `${whole}.${padded.slice(point, point + decimals)}` : whole;
}

function digitsOf(item: Decoded): readonly string[] {
  if (item.kind === 'trade') return [item.price, item.quantity, item.tradeId];
  if (item.kind === 'candle') return [item.open, item.high, item.low, item.close, item.volume];
  return item.kind === 'book' ? [...item.bids, ...item.asks].flat() : [];
}

describe.each(exchangeIds)('%s', async (exchange) => {
  const adapter = await loadAdapter(exchange);
  const fixtures = await fixturesOf(exchange);
  const frames = fixtures.flatMap((fixture) => (fixture.parser ? [] : fixture.frames));
  const answers = fixtures.filter(({ parser }) => parser);

  test(`${RUNS} mutated frames`, { timeout: 60_000 + RUNS * 10 }, async () => {
    const random = createRandom(SEED);
    const mutate = createMutator(random);
    const samples = new Map<MarketEvent['type'], string[]>();
    const counts = { decoded: 0, refused: 0, rows: 0, rejected: 0 };
    const path = createPath(adapter, (event) => {
      if (rejectionOf(event) !== undefined) {
        counts.rejected++;
        return;
      }
      const row = encodeRow(event);
      const { columns } = TABLES[event.type];
      if (row.split('\t').length !== columns.length || row.indexOf('\n') !== row.length - 1) {
        throw new Error(`not one row: ${row}`);
      }
      counts.rows++;
      const sample = samples.get(event.type) ?? [];
      samples.set(event.type, sample);
      if (sample.length < SAMPLE) sample.push(row);
      else if (random() < 0.05) sample[Math.floor(random() * SAMPLE)] = row;
    });
    let frame = '';
    try {
      for (let run = 0; run < RUNS; run++) {
        // A real one between them, so that there are books to be spoiled.
        frame = run % 4 === 0 ? (frames[run % frames.length] ?? '') : mutate(frames);
        if (run % 500 === 0) path.reconnect();
        let decoded: readonly Decoded[];
        try {
          decoded = path.decode(frame);
          counts.decoded++;
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
          counts.refused++;
          continue;
        }
        checkItems(decoded, frame);
        for (const item of decoded) path.handle(item);
      }
    } catch (error) {
      console.log(`FUZZ_SEED=${SEED} ${exchange}: ${JSON.stringify(frame.slice(0, 2_000))}`);
      throw error;
    } finally {
      path.end();
    }
    // Not all of it was refused at the first sight.
    expect(counts.decoded).toBeGreaterThan(RUNS / 4);
    expect(counts.refused).toBeGreaterThan(RUNS / 50);
    expect(counts.rows).toBeGreaterThan(RUNS / 100);
    expect(Object.keys(Object.prototype)).toEqual([]);
    await storeAll(samples);
  });

  test.skipIf(answers.length === 0)(`${RUNS / 10} mutated answers of REST`, () => {
    const random = createRandom(SEED);
    const mutate = createMutator(random);
    let refused = 0;
    for (let run = 0; run < RUNS / 10; run++) {
      const { parser, frames: bodies } = answers[run % answers.length]!;
      const body = mutate(bodies);
      try {
        parse(adapter, parser, body);
      } catch (error) {
        if (!(error instanceof DecodeError)) {
          console.log(`FUZZ_SEED=${SEED} ${exchange} ${parser}: ${body.slice(0, 2_000)}`);
          throw error;
        }
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(RUNS / 500);
  });
});

function parse(adapter: WsAdapter, parser: Fixture['parser'], body: string): unknown {
  const { history, markets, book } = adapter;
  if (parser === 'markets') return markets?.parse(body);
  if (parser === 'bookSeed') return book?.seed?.parse(body, 'X');
  if (parser === 'candleHistory') return history?.candles?.parse(body, 'X');
  return history?.trades?.parse(body, 'X');
}

function checkItems(decoded: readonly Decoded[], frame: string): void {
  if (decoded.filter(({ kind }) => kind === 'trade').length > MAX_TRADES) {
    throw new Error('more trades than a frame may hold');
  }
  let spelled: Set<string> | undefined;
  for (const item of decoded) {
    // 12.0 is a whole number, too.
    const isId = (digits: string) => item.kind === 'trade' && digits === item.tradeId;
    for (const digits of digitsOf(item)) {
      // Cheap, and right for nearly all.
      if (frame.includes(`"${digits}"`)) continue;
      spelled ??= spellings(frame);
      if (spelled.has(digits)) continue;
      const known = [...spelled].some(
        (text) => moved(text) === digits || (isId(digits) && String(Number(text)) === digits),
      );
      if (!known) throw new Error(`${item.kind}: ${digits} is not in the frame`);
    }
  }
}

/** Into tables with the checks of the real ones; the keys are left out, as frames repeat. */
async function storeAll(samples: ReadonlyMap<MarketEvent['type'], string[]>): Promise<void> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  try {
    for (const [type, rows] of samples) {
      const table = TABLES[type];
      const name = `fuzz_${table.name}`;
      await client.query(
        `CREATE TEMP TABLE ${name} (LIKE ${table.name} INCLUDING CONSTRAINTS INCLUDING GENERATED)`,
      );
      await copyRows(client, { ...table, name }, rows.join(''));
      const { rows: counted } = await client.query(`SELECT count(*)::int AS n FROM ${name}`);
      expect(counted[0]).toEqual({ n: rows.length });
    }
  } finally {
    await client.end();
  }
}
