/**
 * A simulated exchange over real sockets: Binance's spot protocol, WebSocket and REST on one loopback
 * port. For the offline demo, tests, benches and fault tests.
 *
 * What a trade says is a pure function of (seed, symbol, id); only its time is the clock's. The
 * journal, if asked for, holds what was really emitted, and what clients missed is still in REST.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Arrivals } from './arrivals.ts';
import { createEngine } from './engine.ts';
import { createJournal } from './journal.ts';
import { createSimMarket, type TradingStatus } from './market.ts';
import { createRequestBudget } from './request-budget.ts';
import { answerRest } from './rest.ts';
import { createStreamHub } from './stream-hub.ts';

export interface SimulatedExchangeOptions {
  readonly seed: number;
  /** Unified names. */
  readonly symbols?: readonly string[];
  /** Of all markets together, on average. */
  readonly tradesPerSecond?: number;
  readonly arrivals?: Arrivals;
  readonly host?: string;
  /** 0: any free one. */
  readonly port?: number;
  /** NDJSON of every trade and closed candle, appended as they are emitted; not the backdated ones. */
  readonly journalPath?: string;
  readonly candleMs?: number;
  /** Levels a side. */
  readonly bookLevels?: number;
  readonly depthIntervalMs?: number;
  readonly klineIntervalMs?: number;
  readonly pingIntervalMs?: number;
  readonly maxConnectionAgeMs?: number;
  readonly maxBufferedBytes?: number;
  /** Default: as the exchange's. */
  readonly restWeightPerMinute?: number;
  /** Candles with backdated trades, so that history is not empty at the start. */
  readonly historyCandles?: number;
  /** The same for all markets; by default each symbol has its own. */
  readonly firstTradeId?: number;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
}

export type SimulatedExchange = Awaited<ReturnType<typeof startSimulatedExchange>>;
export type SimulatorControls = SimulatedExchange['controls'];

const DEFAULT_SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT', 'BNB/USDT', 'XRP/USDT'];

export async function startSimulatedExchange(options: SimulatedExchangeOptions) {
  const { seed, symbols = DEFAULT_SYMBOLS, candleMs = 60_000, depthIntervalMs = 100 } = options;
  const { host = '127.0.0.1' } = options;
  const now = neverBackwards(options.clock ?? Date.now);
  const startTime = now();
  const markets = [...new Set(symbols)].map((symbol) =>
    createSimMarket({
      seed,
      symbol,
      now: startTime,
      candleMs,
      bookLevels: options.bookLevels ?? 100,
      depthIntervalMs,
      historyCandles: options.historyCandles ?? 60,
      firstTradeId: options.firstTradeId,
    }),
  );
  const byVenueSymbol = new Map(markets.map((market) => [market.instrument.venueSymbol, market]));
  const budget = createRequestBudget(options.restWeightPerMinute);
  const sockets = new Set<Socket>();
  let refusing = false;

  const serve = (request: IncomingMessage, response: ServerResponse) => {
    const url = URL.parse(request.url ?? '/', 'http://localhost');
    const wall = performance.now();
    const refusal = budget.refusal(wall);
    const answer =
      refusal ??
      (url === null
        ? { status: 400, body: '{"code":-1,"msg":"Bad request."}', weight: 1 }
        : answerRest(url, { markets: byVenueSymbol, now: now() }));
    response.writeHead(answer.status, {
      'content-type': 'application/json;charset=UTF-8',
      'x-mbx-used-weight-1m': String(budget.spend(wall, answer.weight)),
      ...(refusal && { 'retry-after': String(refusal.retryAfterSeconds) }),
    });
    response.end(answer.body);
  };

  const server = createServer(serve);
  server.on('connection', (socket) => {
    if (refusing) {
      socket.resetAndDestroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, host, resolve);
  });
  const { port } = server.address() as AddressInfo;

  const hub = createStreamHub({
    pingIntervalMs: options.pingIntervalMs ?? 20_000,
    maxConnectionAgeMs: options.maxConnectionAgeMs ?? 24 * 3_600_000,
    maxBufferedBytes: options.maxBufferedBytes ?? 64 * 1024 * 1024,
  });
  server.on('upgrade', hub.upgrade);
  const journal = options.journalPath === undefined ? null : createJournal(options.journalPath);
  const engine = createEngine({
    seed,
    markets,
    hub,
    journal,
    now,
    tradesPerSecond: options.tradesPerSecond ?? 40,
    arrivals: options.arrivals ?? 'clustered',
    depthIntervalMs,
    klineIntervalMs: options.klineIntervalMs ?? Math.min(2000, candleMs / 2),
  });

  /** Faults and wishes of tests. All take effect at once; symbols are unified names. */
  const controls = {
    /** Without names: sockets stay open and all is silent, pings and answers too. */
    pauseStreams: (streams?: readonly string[]) => hub.pause(streams),
    resumeStreams: () => hub.resume(),
    /** With a code: a proper close. Without: a reset in mid-air. Returns how many it hit. */
    dropConnections: (code?: number): number => {
      const hit = [...hub.connections()];
      for (const connection of hit) {
        if (code === undefined) connection.reset();
        else connection.close(code, 'Dropped');
      }
      return hit.length;
    },
    sendServerShutdown: () =>
      hub.announce('!serverShutdown', `{"e":"serverShutdown","E":${now()}}`),
    /** In the journal and in REST, but not on the sockets: a gap that can be repaired. */
    skipNextTrades: (symbol: string, count: number) => engine.skipNextTrades(symbol, count),
    /** The next diff of the book is lost: a gap in its sequence. */
    skipNextDepth: (symbol: string) => engine.skipNextDepth(symbol),
    /** New connections, REST included, are reset; those that are open stay. */
    refuseConnections: (refuse: boolean): void => {
      refusing = refuse;
    },
    /** The next REST requests are answered with this status, 429 or 418 or 5xx. */
    failRequests: (count: number, status: number, retryAfterSeconds = 1) =>
      budget.failNext(count, status, retryAfterSeconds),
    /** `count` trades flat out; resolves when all are emitted. */
    burst: (symbol: string, count: number): Promise<void> => engine.burst(symbol, count),
    setRate: (tradesPerSecond: number) => engine.setRate(tradesPerSecond),
    /** As exchangeInfo tells it. Only a market that is TRADING trades by itself. */
    setStatus: (symbol: string, status: TradingStatus): void => {
      engine.market(symbol).status = status;
    },
    connections: () =>
      Array.from(hub.connections(), ({ streams, ageMs, bufferedBytes }) => ({
        streams: [...streams],
        ageMs: ageMs(),
        bufferedBytes: bufferedBytes(),
      })),
    counters: () => ({ ...engine.counters, ...hub.counters, restRequests: budget.requests() }),
    /** Ids emitted so far: [first, last]; the first ones may be backdated. */
    tradeIds: (symbol: string): readonly [first: number, last: number] => {
      const { times } = engine.market(symbol);
      return [times.firstId, times.nextId() - 1];
    },
  };

  return {
    wsUrl: `ws://${host}:${port}`,
    restUrl: `http://${host}:${port}`,
    port,
    controls,
    async stop(): Promise<void> {
      engine.stop();
      hub.stop();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
      journal?.close();
    },
  };
}

/** Trade times and candles only move forward, whatever an adjusted wall clock does. */
function neverBackwards(clock: () => number): () => number {
  let latest = -Infinity;
  return () => (latest = Math.max(latest, Math.floor(clock())));
}
