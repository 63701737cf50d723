/** The REST answers of the simulated exchange. Pure: a request in, a status and a body out. */
import { aggregateRow, depthBody, exchangeInfoBody, klineRow, tradeRow } from './frames.ts';
import type { SimMarket } from './market.ts';

export interface RestAnswer {
  readonly status: number;
  readonly body: string;
  /** What the request cost in the exchange's budget per minute. */
  readonly weight: number;
}

interface RestContext {
  /** By venue symbol. */
  readonly markets: ReadonlyMap<string, SimMarket>;
  readonly now: number;
}

type Route = (query: URLSearchParams, context: RestContext) => Omit<RestAnswer, 'status'>;

const MAX_ROWS = 1000;

class RestError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const routes: Readonly<Record<string, Route>> = {
  '/api/v3/ping': () => ({ body: '{}', weight: 1 }),
  '/api/v3/time': (_, { now }) => ({ body: `{"serverTime":${now}}`, weight: 1 }),

  '/api/v3/exchangeInfo': (query, context) => {
    const one = query.has('symbol') ? [marketOf(query, context)] : null;
    return { body: exchangeInfoBody(one ?? context.markets.values(), context.now), weight: 20 };
  },

  '/api/v3/depth': (query, context) => {
    const market = marketOf(query, context);
    const limit = Math.min(5000, integer(query, 'limit') ?? 100);
    // The trades since the last diff have moved the book already: the snapshot is true at its id.
    market.advanceBook(context.now);
    const weight = limit <= 100 ? 5 : limit <= 500 ? 25 : limit <= 1000 ? 50 : 250;
    return { body: depthBody(market.book.snapshot(limit), market.instrument), weight };
  },

  '/api/v3/klines': (query, context) => {
    const market = marketOf(query, context);
    if (required(query, 'interval') !== '1m') throw new RestError(-1120, 'Invalid interval.');
    const start = integer(query, 'startTime');
    const found = market.candles.between(start ?? 0, integer(query, 'endTime') ?? Infinity);
    const rows = page(found, query, start === undefined);
    return { body: list(rows.map((candle) => klineRow(candle, market.instrument))), weight: 2 };
  },

  '/api/v3/trades': (query, context) => {
    const market = marketOf(query, context);
    const { firstId, nextId } = market.times;
    const from = Math.max(firstId, nextId() - rowLimit(query));
    return { body: tradeRows(market, from, nextId()), weight: 25 };
  },

  '/api/v3/historicalTrades': (query, context) => {
    const market = marketOf(query, context);
    const { firstId, nextId } = market.times;
    const limit = rowLimit(query);
    const from = Math.max(firstId, integer(query, 'fromId') ?? nextId() - limit);
    return { body: tradeRows(market, from, Math.min(nextId(), from + limit)), weight: 25 };
  },

  '/api/v3/aggTrades': (query, context) => {
    const market = marketOf(query, context);
    const { first, end } = market.aggregateIds();
    const limit = rowLimit(query);
    const start = integer(query, 'startTime');
    const endTime = integer(query, 'endTime') ?? Infinity;
    const newest = start === undefined ? end - limit : aggregateAtTime(market, start);
    const from = Math.max(first, integer(query, 'fromId') ?? newest);
    const rows: string[] = [];
    for (let id = from; id < end && rows.length < limit; id += 1) {
      const aggregate = market.aggregateAt(id);
      if (aggregate.time > endTime) break;
      rows.push(aggregateRow(aggregate, market.instrument));
    }
    return { body: list(rows), weight: 4 };
  },
};

export function answerRest(url: URL, context: RestContext): RestAnswer {
  const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : undefined;
  if (route === undefined)
    return { status: 404, body: '{"code":-1,"msg":"Not found."}', weight: 1 };
  try {
    return { status: 200, ...route(url.searchParams, context) };
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    const body = JSON.stringify({ code: error.code, msg: error.message });
    return { status: 400, body, weight: 1 };
  }
}

function marketOf(query: URLSearchParams, { markets }: RestContext): SimMarket {
  const market = markets.get(required(query, 'symbol'));
  if (market === undefined) throw new RestError(-1121, 'Invalid symbol.');
  return market;
}

/** First aggregate whose last fill is at or after `time`. */
function aggregateAtTime(market: SimMarket, time: number): number {
  return market.law.groupOf(market.times.firstIdAt(time)).aggregateId;
}

function tradeRows(market: SimMarket, from: number, end: number): string {
  const rows: string[] = [];
  for (let id = from; id < end; id += 1) rows.push(tradeRow(market.tradeAt(id), market.instrument));
  return list(rows);
}

/** With a start the oldest rows, without one the newest; ascending either way. */
function page<T>(rows: readonly T[], query: URLSearchParams, newest: boolean): readonly T[] {
  const limit = rowLimit(query);
  return newest ? rows.slice(-limit) : rows.slice(0, limit);
}

const list = (rows: readonly string[]) => `[${rows.join(',')}]`;

const rowLimit = (query: URLSearchParams) => Math.min(MAX_ROWS, integer(query, 'limit') ?? 500);

function required(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value) return value;
  throw new RestError(
    -1102,
    `Mandatory parameter '${name}' was not sent, was empty/null, or malformed.`,
  );
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) {
    throw new RestError(-1100, `Illegal characters found in parameter '${name}'.`);
  }
  return Number(text);
}
