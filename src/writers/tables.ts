/**
 * Event -> table, columns, cells: the only place that knows column names. A row is made once, as the
 * line of text that COPY takes, and never again: retries send the same bytes.
 */
import type { Decimal, Level, MarketEvent } from '../ingest/events.ts';
import { escaped, timestampWithoutZone } from './copy-text.ts';

export interface Table {
  /** In the frames of the spool: never reused for another table. */
  readonly code: number;
  readonly name: string;
  readonly columns: readonly string[];
  /** No unique key can refuse its rows: they never go by way of a staging table. */
  readonly keyless?: true;
}

const TIMED = ['time', 'symbol', 'exchange'];

export const TABLES = {
  trade: {
    code: 1,
    name: 'trades',
    columns: [...TIMED, 'trade_id', 'side', 'price', 'quantity'],
  },
  candle: {
    code: 2,
    name: 'market_data',
    columns: [...TIMED, 'open', 'high', 'low', 'close', 'volume', 'trades'],
  },
  order_book: {
    code: 3,
    name: 'order_book',
    columns: [...TIMED, 'bids', 'asks'],
  },
} as const satisfies Record<MarketEvent['type'], Table>;

/** Not of an event: see log-sink.ts. */
export const SYSTEM_LOGS: Table = {
  code: 4,
  name: 'system_logs',
  columns: ['time', 'level', 'component', 'exchange', 'message', 'context'],
};

/** Intervals without ids; see losses.ts. It has no key to be doubled by, and no partitions. */
export const INGEST_GAPS: Table = {
  code: 5,
  name: 'ingest_gaps',
  columns: [
    'exchange',
    'channel',
    'symbol',
    'from_time',
    'to_time',
    'status',
    'reason',
    'closed_at',
  ],
  keyless: true,
};

export const ALL_TABLES: readonly Table[] = [...Object.values(TABLES), SYSTEM_LOGS, INGEST_GAPS];

const BY_CODE = new Map<number, Table>(ALL_TABLES.map((table) => [table.code, table]));

/** Throws for a code that no version of this file knows. */
export function tableOf(code: number): Table {
  const table = BY_CODE.get(code);
  if (!table) throw new Error(`no table has code ${code}`);
  return table;
}

/** Why a row is refused before it is accepted: what the table's checks would refuse. */
export type Rejection = 'time' | 'symbol' | 'trade_id' | 'number';

const EARLIEST_MICROS = 1_230_940_800_000_000;
const LATEST_MICROS = 7_258_118_400_000_000;
const MAX_SYMBOL = 64;
const MAX_TRADE_ID = 100;
/** Of PostgreSQL's INTEGER. */
const MAX_INTEGER = 2 ** 31 - 1;
/** Less digits than the columns of ids take. */
const WHOLE_NUMBER = /^\d{1,38}$/;
const NUMBER = /^(?:0|[1-9]\d*)(?:\.\d+)?$/;
const POSITIVE = /^(?=[\d.]*[1-9])(?:0|[1-9]\d*)(?:\.\d+)?$/;
/** Nearly every id of a trade. */
const PLAIN_ID = /^[\w-]{1,100}$/;

/** What would be refused by the table, and so would hold up the rows around it. */
export function rejectionOf(event: MarketEvent): Rejection | undefined {
  if (!(event.time >= EARLIEST_MICROS && event.time < LATEST_MICROS)) return 'time';
  if (!isSymbol(event.symbol)) return 'symbol';
  switch (event.type) {
    case 'trade':
      if (!PLAIN_ID.test(event.tradeId) && !isTradeId(event.tradeId)) return 'trade_id';
      return isPositive(event.price) && isPositive(event.quantity) ? undefined : 'number';
    case 'candle': {
      const { open, high, low, close, volume, trades } = event;
      const sound = isPositive(open) && isPositive(high) && isPositive(low) && isPositive(close);
      const counted = trades === null || trades <= MAX_INTEGER;
      return sound && counted && NUMBER.test(volume) ? undefined : 'number';
    }
    case 'order_book':
      return event.bids.every(isLevel) && event.asks.every(isLevel) ? undefined : 'number';
  }
}

/**
 * One line of COPY text, newline included: what `copyLine` makes of its cells, in a quarter of the
 * time. What recurs is kept, and numbers, which were looked at before, need no escaping.
 */
export function encodeRow(event: MarketEvent): string {
  const { time, symbol, exchange } = event;
  const stamp = timestampWithoutZone(time);
  const market = marketCells(symbol, exchange);
  switch (event.type) {
    case 'trade': {
      const { tradeId, side, price, quantity } = event;
      return `${stamp}${market}${escaped(tradeId)}\t${side}\t${price}\t${quantity}\n`;
    }
    case 'candle': {
      const { open, high, low, close, volume, trades } = event;
      const prices = `${open}\t${high}\t${low}\t${close}`;
      return `${stamp}${market}${prices}\t${volume}\t${trades ?? '\\N'}\n`;
    }
    case 'order_book':
      return `${stamp}${market}${levelsJson(event.bids)}\t${levelsJson(event.asks)}\n`;
  }
}

/** What rows of one market have between the time and the id: the zone, symbol, exchange. */
const markets = new Map<string, { readonly exchange: string; readonly cells: string }>();
/** More than an exchange lists. */
const MAX_KEPT = 20_000;

function marketCells(symbol: string, exchange: string): string {
  const known = markets.get(symbol);
  if (known?.exchange === exchange) return known.cells;
  // Joined, it is one string in memory, not a tree of four.
  const cells = ['+00', escaped(symbol), escaped(exchange), ''].join('\t');
  if (markets.size >= MAX_KEPT) markets.clear();
  markets.set(symbol, { exchange, cells });
  return cells;
}

/** Reads rows of `trades` back as far as it takes to know them; those whose ids are no numbers not. */
export function forEachTrade(
  rows: Buffer,
  visit: (time: string, symbol: string, tradeId: string) => void,
): void {
  const text = rows.toString();
  for (let at = 0, end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', at)) {
    const symbolAt = text.indexOf('\t', at) + 1;
    const exchangeAt = text.indexOf('\t', symbolAt) + 1;
    const idAt = text.indexOf('\t', exchangeAt) + 1;
    const id = text.slice(idAt, text.indexOf('\t', idAt));
    if (WHOLE_NUMBER.test(id)) {
      visit(text.slice(at, symbolAt - 1), text.slice(symbolAt, exchangeAt - 1), id);
    }
    at = end + 1;
  }
}

/** The document's `[{"price": n, "amount": n}, ...]`; number literals of the exchange's own digits. */
function levelsJson(levels: readonly Level[]): string {
  if (levels.length === 0) return '[]';
  const each = levels.map((level) => `${level[0]}, "amount": ${level[1]}`);
  return `[{"price": ${each.join('}, {"price": ')}}]`;
}

function isLevel(level: Level): boolean {
  return isPositive(level[0]) && NUMBER.test(level[1]);
}

function isPositive(value: Decimal): boolean {
  return POSITIVE.test(value);
}

/** Those that were looked at: there are few, and each has many events. */
const symbols = new Set<string>();

function isSymbol(value: string): boolean {
  if (symbols.has(value)) return true;
  if (value.length > MAX_SYMBOL || !isText(value)) return false;
  if (symbols.size >= MAX_KEPT) symbols.clear();
  symbols.add(value);
  return true;
}

function isTradeId(value: string): boolean {
  return value !== '' && value.length <= MAX_TRADE_ID && isText(value);
}

/** PostgreSQL takes neither NUL nor half a surrogate pair. */
function isText(value: string): boolean {
  return value.isWellFormed() && !value.includes('\0');
}
