/**
 * A recording, played through an adapter as the live source would: frames are decoded, books kept,
 * and the recorded REST answers given where the source would have asked. Nothing here looks at a
 * clock: the recording's own receive times are used.
 */
import { DecodeError } from '../errors.ts';
import type { DecodedBook, DecodedCandle, DecodedTrade, WsAdapter } from './adapter.ts';
import { createCandleSeries } from './candle-series.ts';
import type { Instrument, Level, Micros } from './events.ts';
import { createOrderBooks } from './order-book.ts';
import type { RecordedLine } from './recording.ts';

/** As live by default. */
const CANDLE_GRACE_MS = 2_000;

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
  /** Closed by the frame that is being looked at, or by the time that it came. */
  const closed: DecodedCandle[] = [];
  const candles = createCandleSeries({
    adapter,
    graceMs: CANDLE_GRACE_MS,
    // What only the exchange's history could give is not in a recording.
    closed: (candle, whole) => void (whole && closed.push(candle)),
    unknown: () => undefined,
  });
  return {
    adapter,
    depth,
    candles,
    takeClosed: () => closed.splice(0),
    /** A recording may hold several connections side by side. */
    sockets: new Map<string, Socket>(),
    books,
    asked,
    early: [] as RecordedLine[],
    /** Position of the last line. */
    last: null as number | null,
  };
}

interface Socket {
  readonly state: unknown;
  /** Venue symbols of the books that come over it. */
  readonly books: Set<string>;
}

function* take(
  connection: Connection,
  line: RecordedLine,
  receivedAt: Micros,
): Generator<Replayed['event']> {
  const { adapter, asked, early, candles, takeClosed } = connection;
  const complete = line.n === (connection.last ?? NaN) + 1;
  connection.last = line.n;
  candles.advance(receivedAt);
  yield* takeClosed();
  if (line.dir === 'http') {
    yield* takeAnswer(connection, line, receivedAt);
  } else if (line.dir === 'in') {
    const socket = socketOf(connection, line);
    for (const decoded of adapter.decode(line.frame, socket.state)) {
      if (decoded.kind === 'trade') {
        candles.trade(decoded, receivedAt);
        yield decoded;
      } else if (decoded.kind === 'candle') {
        candles.candle(decoded);
        yield* takeClosed();
      } else if (decoded.kind === 'book') {
        socket.books.add(decoded.venueSymbol);
        yield* applyBook(connection, decoded, receivedAt);
      } else if (decoded.kind === 'gap') {
        loseBooks(connection, socket, decoded.venueSymbol, complete);
      }
    }
  }
  for (const venueSymbol of asked) {
    const at = early.findIndex((answer) => answers(connection, answer, venueSymbol));
    const [answer] = at === -1 ? [] : early.splice(at, 1);
    const snapshot = answer && adapter.book?.seed?.parse(answer.frame, venueSymbol);
    if (!snapshot) continue;
    asked.delete(venueSymbol);
    yield* applyBook(connection, snapshot, receivedAt);
  }
}

/** A snapshot is taken as soon as it can be: a recorder may have asked before the first change. */
function* takeAnswer(
  connection: Connection,
  line: RecordedLine,
  receivedAt: Micros,
): Generator<ReplayedBook> {
  const { adapter, books, asked, early } = connection;
  const { seed } = adapter.book ?? {};
  const venueSymbol = namesIn(line).find((name) => answers(connection, line, name));
  if (!seed || venueSymbol === undefined) return;
  if (books.inSync(venueSymbol) && !asked.has(venueSymbol)) {
    // Nobody asked; the next who does may have it.
    early.push(line);
    return;
  }
  asked.delete(venueSymbol);
  yield* applyBook(connection, seed.parse(line.frame, venueSymbol), receivedAt);
}

function socketOf({ adapter, depth, sockets }: Connection, { conn = '' }: RecordedLine): Socket {
  const known = sockets.get(conn);
  if (known) return known;
  const socket = { state: adapter.open({ bookDepth: depth }), books: new Set<string>() };
  sockets.set(conn, socket);
  return socket;
}

/**
 * Where lines were taken out of a recording, because it was divided by symbol, a number that counts a
 * whole connection has holes that the exchange did not make.
 */
function loseBooks(
  { books }: Connection,
  socket: Socket,
  only: string | null,
  complete: boolean,
): void {
  if (only !== null) books.distrust(only);
  else if (complete) for (const venueSymbol of socket.books) books.distrust(venueSymbol);
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
  const { pathname } = new URL(line.url);
  // The name of the market may be a part of the path.
  const endpointOf = (path: string) => lastSegment(path.replace(`/${venueSymbol}`, ''));
  return endpointOf(pathname) === endpointOf(request.path) && namesIn(line).includes(venueSymbol);
}

/** Whatever in a URL can be the name of a market. */
function namesIn({ url }: RecordedLine): string[] {
  if (url === undefined) return [];
  const { searchParams, pathname } = new URL(url);
  return [...searchParams.values(), ...pathname.split('/').filter(Boolean)];
}

function marketsOf(adapter: WsAdapter, line: RecordedLine): Instrument[] {
  if (!adapter.markets || line.dir !== 'http' || line.url === undefined) return [];
  const name = lastSegment(new URL(line.url).pathname);
  const isList = adapter.markets.requests.some(({ path }) => lastSegment(path) === name);
  return isList ? adapter.markets.parse(line.frame) : [];
}

function lastSegment(path: string): string | undefined {
  return path.split('/').findLast(Boolean)?.toLowerCase();
}

/** `1618677374.032366` -> microseconds, digit by digit; 0 where the recorder did not say. */
function receiveTime({ ts }: RecordedLine): Micros {
  if (ts === null) return 0;
  const [seconds = '0', fraction = ''] = ts.split('.');
  return Number(seconds) * 1_000_000 + Number(fraction.padEnd(6, '0').slice(0, 6));
}
