/**
 * What the page shows of the market, by symbol. Closed candles are kept while the page is enabled;
 * trades, books and the open candle only while somebody watches.
 */
import { createSum } from '../ingest/candle-builder.ts';
import type { Candle, Decimal, MarketEvent, Micros, OrderBookSnapshot } from '../ingest/events.ts';
import type { Trade } from '../ingest/events.ts';
import { MINUTE, minuteOf } from '../ingest/minutes.ts';
import { compareDecimals } from '../ingest/wire.ts';

const CLOSED_CANDLES = 120;
const RECENT_TRADES = 20;
const BOOK_LEVELS = 20;

/** The minute so far, of the trades that were seen since somebody watches. */
interface OpenCandle {
  readonly time: Micros;
  readonly open: Decimal;
  high: Decimal;
  low: Decimal;
  close: Decimal;
  readonly volume: ReturnType<typeof createSum>;
}

interface Market {
  /** Oldest first. */
  readonly closed: Candle[];
  /** Newest first. */
  trades: Trade[];
  open: OpenCandle | undefined;
  book: OrderBookSnapshot | undefined;
  /** Of `closed`, and of all else: count up with each change. */
  closedVersion: number;
  version: number;
}

export type MarketView = ReturnType<typeof createMarketView>;

export function createMarketView(symbols: readonly string[]) {
  const markets = new Map(symbols.map((symbol) => [symbol, newMarket()]));
  /** Rows of a stream, since the daemon is watched; by type and symbol. */
  const rows = new Map<string, number>();
  let watched = false;

  function addTrade(market: Market, trade: Trade): void {
    if (market.trades.unshift(trade) > RECENT_TRADES) market.trades.pop();
    const time = minuteOf(trade.time);
    const { open } = market;
    if (!open || time > open.time) {
      market.open = beginCandle(time, trade);
    } else if (time === open.time) {
      if (compareDecimals(trade.price, open.high) > 0) open.high = trade.price;
      if (compareDecimals(trade.price, open.low) < 0) open.low = trade.price;
      open.close = trade.price;
      open.volume.add(trade.quantity);
    }
  }

  function addCandle({ closed }: Market, candle: Candle): void {
    const index = closed.findLastIndex(({ time }) => time <= candle.time);
    const isCorrection = closed[index]?.time === candle.time;
    closed.splice(isCorrection ? index : index + 1, isCorrection ? 1 : 0, candle);
    if (closed.length > CLOSED_CANDLES) closed.shift();
  }

  return {
    /** Each trade, and each change of a book. */
    seen(event: MarketEvent): void {
      if (!watched) return;
      const market = markets.get(event.symbol);
      if (!market) return;
      if (event.type === 'trade') addTrade(market, event);
      else if (event.type === 'order_book') market.book = event;
      market.version++;
    },
    /** Each event that becomes a row. */
    recorded(event: MarketEvent): void {
      if (!watched && event.type !== 'candle') return;
      const key = rowsKey(event.type, event.symbol);
      rows.set(key, (rows.get(key) ?? 0) + 1);
      const market = event.type === 'candle' && markets.get(event.symbol);
      if (!market) return;
      addCandle(market, event);
      market.closedVersion++;
    },
    rows: (type: MarketEvent['type'], symbol: string): number =>
      rows.get(rowsKey(type, symbol)) ?? 0,
    watch(): void {
      watched = true;
    },
    /** What is not kept up any more is forgotten: nobody shall take it for the present. */
    unwatch(): void {
      watched = false;
      rows.clear();
      for (const market of markets.values()) {
        market.trades = [];
        market.open = undefined;
        market.book = undefined;
        market.version++;
      }
    },
    knows: (symbol: string): boolean => markets.has(symbol),
    lastTrade: (symbol: string): Trade | undefined => markets.get(symbol)?.trades[0],
    lastCandle: (symbol: string): Candle | undefined => markets.get(symbol)?.closed.at(-1),
    book: (symbol: string): OrderBookSnapshot | undefined => markets.get(symbol)?.book,
    versions(symbol: string): { readonly market: number; readonly candles: number } {
      const market = markets.get(symbol);
      return { market: market?.version ?? 0, candles: market?.closedVersion ?? 0 };
    },
    /** For JSON: all that is known but for the closed candles. */
    present(symbol: string) {
      const { trades, open, book } = markets.get(symbol) ?? newMarket();
      return {
        symbol,
        trades: trades.map(({ tradeId, side, price, quantity, time }) => ({
          id: tradeId,
          side,
          price,
          quantity,
          timeMs: milliseconds(time),
        })),
        candle: open && shownCandle({ ...open, volume: open.volume.text() }),
        book: book && {
          bids: book.bids.slice(0, BOOK_LEVELS),
          asks: book.asks.slice(0, BOOK_LEVELS),
          timeMs: milliseconds(book.time),
        },
      };
    },
    closed(symbol: string) {
      return { symbol, candles: (markets.get(symbol)?.closed ?? []).map(shownCandle) };
    },
  };
}

function newMarket(): Market {
  return {
    closed: [],
    trades: [],
    open: undefined,
    book: undefined,
    closedVersion: 0,
    version: 0,
  };
}

function beginCandle(time: Micros, { price, quantity }: Trade): OpenCandle {
  const volume = createSum();
  volume.add(quantity);
  return { time, open: price, high: price, low: price, close: price, volume };
}

function shownCandle(candle: Pick<Candle, 'time' | 'open' | 'high' | 'low' | 'close' | 'volume'>) {
  const { time, open, high, low, close, volume } = candle;
  return { timeMs: milliseconds(time), open, high, low, close, volume };
}

function rowsKey(type: MarketEvent['type'], symbol: string): string {
  return `${type} ${symbol}`;
}

function milliseconds(time: Micros): number {
  return Math.floor(time / 1000);
}

/** From the end of its minute to its arrival. */
export function candleLagMs({ time, receivedAt }: Candle): number {
  return milliseconds(receivedAt - time - MINUTE);
}
