/**
 * Events as an exchange would send them, each a row of its own; made before anything is measured. They
 * share their texts: else the collector would walk through them again and again while we measure.
 */
import type { Candle, Level, MarketEvent, OrderBookSnapshot, Trade } from '../src/ingest/events.ts';
import { encodeRow } from '../src/writers/tables.ts';

/** A Thursday morning, in microseconds. */
export const START = Date.parse('2026-01-08T08:00:00Z') * 1000;
const MINUTE = 60_000_000;
export const EXCHANGE = 'binance';

export const symbolsOf = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `C${String(i).padStart(3, '0')}/USDT`);

const digits = (n: number) => `${String(n % 1_000_000).padStart(6, '0')}00`;

/** Coprime numbers of them, so that they meet in ever new pairs. */
const PRICES = Array.from({ length: 4_999 }, (_, n) => `${60_000 + n}.${digits(n * 1_237)}`);
const QUANTITIES = Array.from({ length: 997 }, (_, n) => `${1 + (n % 3)}.${digits(n * 7_907)}`);

export interface TradesOptions {
  readonly symbols: readonly string[];
  /** Place of the first; each place makes another row. */
  readonly first?: number;
  readonly perSecond?: number;
}

export function tradesOf(count: number, options: TradesOptions): Trade[] {
  const { symbols, first = 0, perSecond = 1_000 } = options;
  let tradeId = '';
  return Array.from({ length: count }, (_, i) => {
    const n = first + i;
    const place = n % symbols.length;
    if (i === 0 || place === 0) tradeId = String(1_000_000 + Math.floor(n / symbols.length));
    // Milliseconds, as exchanges say them.
    const time = START + Math.floor((n * 1_000) / perSecond) * 1_000;
    return {
      type: 'trade',
      exchange: EXCHANGE,
      symbol: symbols[place] ?? '',
      time,
      receivedAt: time,
      tradeId,
      side: (n * 7919) % 13 < 6 ? 'sell' : 'buy',
      price: PRICES[n % PRICES.length] ?? '',
      quantity: QUANTITIES[n % QUANTITIES.length] ?? '',
    };
  });
}

export function candlesOf(count: number, symbols: readonly string[]): Candle[] {
  return Array.from({ length: count }, (_, n) => {
    const time = START + Math.floor(n / symbols.length) * MINUTE;
    const price = (offset: number) => PRICES[(n % 4_000) + offset] ?? '';
    return {
      type: 'candle',
      exchange: EXCHANGE,
      symbol: symbols[n % symbols.length] ?? '',
      time,
      receivedAt: time,
      open: price(50),
      high: price(100),
      low: price(0),
      close: price(60),
      volume: QUANTITIES[n % QUANTITIES.length] ?? '',
      trades: n % 5_000,
    };
  });
}

export function booksOf(count: number, symbols: readonly string[]): OrderBookSnapshot[] {
  const sides = Array.from({ length: 101 }, (_, n) => [sideOf(n, -1), sideOf(n, 1)] as const);
  return Array.from({ length: count }, (_, n) => {
    const time = START + Math.floor(n / symbols.length) * 1_000_000;
    const [bids, asks] = sides[n % sides.length]!;
    const symbol = symbols[n % symbols.length] ?? '';
    const stamps = { exchange: EXCHANGE, symbol, time, receivedAt: time };
    return { type: 'order_book', ...stamps, bids, asks };
  });
}

function sideOf(n: number, step: number): Level[] {
  return Array.from({ length: 20 }, (_, i) => [
    `${60_000 + ((n * 31) % 977) + step * (i + 1)}.${digits(n + i * 77)}`,
    `${1 + ((n + i) % 9)}.${digits(n * 17 + i * 7_907)}`,
  ]);
}

export function copyText(events: readonly MarketEvent[]): Buffer {
  return Buffer.from(events.map(encodeRow).join(''));
}
