/**
 * A recording, played through an adapter as the live source would: frames are decoded, books kept,
 * and the recorded REST answers given where the source would have asked. Nothing here looks at a
 * clock: the recording's own receive times are used.
 */
import { DecodeError } from '../errors.ts';
import type { DecodedBook, DecodedCandle, DecodedTrade, WsAdapter } from './adapter.ts';
import type { Instrument, Level, Micros } from './events.ts';
import { createOrderBooks } from './order-book.ts';
import type { RecordedLine } from './recording.ts';

export interface ReplayedBook {
  readonly kind: 'order_book';
  readonly venueSymbol: string;
  readonly time: Micros;
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
}

/** One event of the recording. `symbol` is null while no market list or name tells it. */
export interface Replayed {
  readonly event: DecodedTrade | DecodedCandle | ReplayedBook;
  readonly symbol: string | null;
  readonly receivedAt: Micros;
  readonly line: RecordedLine;
}

/** What could not be used. */
export interface ReplayProblem {
  readonly code: string;
  readonly detail: string;
  readonly line: RecordedLine;
}

export interface ReplayOptions {
  readonly adapter: WsAdapter;
  readonly lines: AsyncIterable<RecordedLine>;
  readonly depth: number;
  /** Symbols known beforehand, by venue symbol. */
  readonly instruments: readonly Instrument[];
  readonly onProblem: (problem: ReplayProblem) => void;
  /** The market lists of the recording, as they come. */
  readonly onMarkets?: (markets: readonly Instrument[]) => void;
}

/** Trades, closed candles, and each state of a book that is in sync, in the order of the frames. */
export async function* replay(options: ReplayOptions): AsyncGenerator<Replayed> {
  const { adapter, depth, onProblem } = options;
  const symbols = new Map(options.instruments.map((i) => [i.venueSymbol, i.symbol]));
  let connection: Connection | undefined;
  let recording: string | undefined;

  for await (const line of options.lines) {
    if (line.rec !== recording) {
      // Another recording is another connection: nothing is carried over.
      recording = line.rec;
      connection = undefined;
    }
    connection ??= createConnection(adapter, depth);
    const receivedAt = receiveTime(line);
    try {
      const markets = marketsOf(adapter, line);
      for (const { venueSymbol, symbol } of markets) symbols.set(venueSymbol, symbol);
      if (markets.length > 0) options.onMarkets?.(markets);
      for (const event of take(connection, line, receivedAt)) {
        yield { event, symbol: symbols.get(event.venueSymbol) ?? null, receivedAt, line };
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      onProblem({ code: error.code, detail: error.message, line });
    }
  }
}

type Connection = ReturnType<typeof createConnection>;

function createConnection(adapter: WsAdapter, depth: number) {
  /** Snapshots asked for and not answered yet, by venue symbol. */
  const asked = new Set<string>();
  const books = createOrderBooks({
    depth,
    rules: adapter.book ?? {},
    requestSnapshot: (venueSymbol) => void (adapter.book?.seed && asked.add(venueSymbol)),
  });
  return {
    adapter,
    depth,
    state: adapter.open({ bookDepth: depth }),
    books,
    asked,
    early: [] as RecordedLine[],
  };
}

function* take(
  connection: Connection,
  line: RecordedLine,
  receivedAt: Micros,
): Generator<Replayed['event']> {
  const { adapter, state, asked, early } = connection;
  if (line.dir === 'http') {
    early.push(line);
  } else if (line.dir === 'in') {
    for (const decoded of adapter.decode(line.frame, state)) {
      if (decoded.kind === 'trade') yield decoded;
      else if (decoded.kind === 'candle' && decoded.closed) yield decoded;
      else if (decoded.kind === 'book') yield* applyBook(connection, decoded, receivedAt);
    }
  }
  for (const venueSymbol of asked) {
    // A recorder may have asked before the first change came in.
    const at = early.findIndex((answer) => answers(connection, answer, venueSymbol));
    const [answer] = at === -1 ? [] : early.splice(at, 1);
    const snapshot = answer && adapter.book?.seed?.parse(answer.frame, venueSymbol);
    if (!snapshot) continue;
    asked.delete(venueSymbol);
    yield* applyBook(connection, snapshot, receivedAt);
  }
}

function* applyBook(
  { books }: Connection,
  change: DecodedBook,
  receivedAt: Micros,
): Generator<ReplayedBook> {
  const outcome = books.apply(change);
  if (outcome.kind !== 'published') return;
  const { bids, asks } = outcome;
  const time = outcome.time ?? receivedAt;
  yield { kind: 'order_book', venueSymbol: change.venueSymbol, time, bids, asks };
}

/** Whether a recorded answer is one to our question: hosts, versions and limits may differ. */
function answers({ adapter, depth }: Connection, line: RecordedLine, venueSymbol: string): boolean {
  const request = adapter.book?.seed?.request(venueSymbol, depth);
  if (!request || line.url === undefined) return false;
  const url = new URL(line.url);
  if (lastSegment(url.pathname) !== lastSegment(request.path)) return false;
  return [...url.searchParams.values(), ...url.pathname.split('/')].includes(venueSymbol);
}

function marketsOf(adapter: WsAdapter, line: RecordedLine): Instrument[] {
  const path = adapter.markets?.request.path;
  if (!adapter.markets || !path || line.dir !== 'http' || line.url === undefined) return [];
  const isList = lastSegment(new URL(line.url).pathname) === lastSegment(path);
  return isList ? adapter.markets.parse(line.frame) : [];
}

function lastSegment(path: string): string | undefined {
  return path.split('/').at(-1)?.toLowerCase();
}

/** `1618677374.032366` -> microseconds, digit by digit; 0 where the recorder did not say. */
function receiveTime({ ts }: RecordedLine): Micros {
  if (ts === null) return 0;
  const [seconds = '0', fraction = ''] = ts.split('.');
  return Number(seconds) * 1_000_000 + Number(fraction.padEnd(6, '0').slice(0, 6));
}
