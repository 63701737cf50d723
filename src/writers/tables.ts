/**
 * Event -> table, columns, cells: the only place that knows column names. A row is made once, as the
 * line of text that COPY takes, and never again: retries send the same bytes.
 */
import type { Decimal, Level, MarketEvent } from '../ingest/events.ts';
import { copyLine, copyTimestamp } from './copy-text.ts';

export interface Table {
  /** In the frames of the spool: never reused for another table. */
  readonly code: number;
  readonly name: string;
  readonly columns: readonly string[];
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

export const ALL_TABLES: readonly Table[] = [...Object.values(TABLES), SYSTEM_LOGS];

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
/** Less digits than the columns of ids take. */
const WHOLE_NUMBER = /^\d{1,38}$/;
const NUMBER = /^(?:0|[1-9]\d*)(?:\.\d+)?$/;

/** What would be refused by the table, and so would hold up the rows around it. */
export function rejectionOf(event: MarketEvent): Rejection | undefined {
  if (!(event.time >= EARLIEST_MICROS && event.time < LATEST_MICROS)) return 'time';
  if (event.symbol.length > MAX_SYMBOL || !isText(event.symbol)) return 'symbol';
  switch (event.type) {
    case 'trade':
      if (event.tradeId === '' || event.tradeId.length > MAX_TRADE_ID || !isText(event.tradeId)) {
        return 'trade_id';
      }
      return isPositive(event.price) && isPositive(event.quantity) ? undefined : 'number';
    case 'candle': {
      const prices = [event.open, event.high, event.low, event.close];
      return prices.every(isPositive) && NUMBER.test(event.volume) ? undefined : 'number';
    }
    case 'order_book':
      return event.bids.every(isLevel) && event.asks.every(isLevel) ? undefined : 'number';
  }
}

/** One line of COPY text, newline included. */
export function encodeRow(event: MarketEvent): string {
  const { symbol, exchange } = event;
  const time = copyTimestamp(event.time);
  switch (event.type) {
    case 'trade':
      return copyLine([
        time,
        symbol,
        exchange,
        event.tradeId,
        event.side,
        event.price,
        event.quantity,
      ]);
    case 'candle': {
      const { open, high, low, close, volume, trades } = event;
      return copyLine([time, symbol, exchange, open, high, low, close, volume, trades]);
    }
    case 'order_book':
      return copyLine([time, symbol, exchange, levelsJson(event.bids), levelsJson(event.asks)]);
  }
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
  let json = '[';
  for (const [price, amount] of levels) {
    json += `${json === '[' ? '' : ', '}{"price": ${price}, "amount": ${amount}}`;
  }
  return `${json}]`;
}

function isLevel([price, amount]: Level): boolean {
  return isPositive(price) && NUMBER.test(amount);
}

function isPositive(value: Decimal): boolean {
  return NUMBER.test(value) && /[1-9]/.test(value);
}

/** PostgreSQL takes neither NUL nor half a surrogate pair. */
function isText(value: string): boolean {
  return value.isWellFormed() && !value.includes('\0');
}
