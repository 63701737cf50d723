/** What the result of each recipe of docs/cookbook.md must be, computed from the rows in another way. */
import type { Client } from 'pg';
import { expect } from 'vitest';

type Row = Readonly<Record<string, string>>;

interface TradeFact {
  readonly symbol: string;
  /** Ms before now. */
  readonly age: number;
  readonly price: string;
  readonly quantity: string;
  readonly side: string;
}

interface CandleFact {
  readonly symbol: string;
  readonly age: number;
  /** Ms since the epoch. */
  readonly time: number;
  readonly open: string;
  readonly close: string;
  readonly volume: string;
}

/** The rows of `binance`, oldest first. */
export interface Facts {
  readonly trades: readonly TradeFact[];
  readonly candles: readonly CandleFact[];
  /** A minute of BTC/USDT whose candle was taken out, in ms since the epoch. */
  readonly removed: number;
}

const MINUTE = 60_000;

export async function readFacts(client: Client, removed: number): Promise<Facts> {
  const age = 'extract(epoch FROM now() - time)::float8 * 1000 AS age';
  const [trades, candles] = await Promise.all([
    client.query<TradeFact>(
      `SELECT symbol, ${age}, price, quantity, side FROM trades WHERE exchange = 'binance' ORDER BY time, trade_id::numeric`,
    ),
    client.query<CandleFact>(
      `SELECT symbol, ${age}, extract(epoch FROM time)::float8 * 1000 AS time, open, close, volume
         FROM market_data WHERE exchange = 'binance' ORDER BY time`,
    ),
  ]);
  return { trades: trades.rows, candles: candles.rows, removed };
}

/** The exchange's eight digits, as an integer. */
const units = (text: string) => BigInt(text.replace('.', ''));
const sum = (texts: readonly string[]) => texts.reduce((total, text) => total + units(text), 0n);
const of = <T extends { readonly symbol: string }>(rows: readonly T[], symbol = 'BTC/USDT') =>
  rows.filter((row) => row.symbol === symbol);
const within = <T extends { readonly age: number }>(rows: readonly T[], minutes: number) =>
  rows.filter(({ age }) => age < minutes * MINUTE);
const column = (rows: readonly Row[], name: string) => rows.map((row) => row[name] ?? '');
const timeOf = (row: Row | undefined, name: string) =>
  new Date(row?.[name] ?? Number.NaN).getTime();

export const SENSE: Readonly<Record<string, (rows: readonly Row[], facts: Facts) => void>> = {
  'Last price': (rows, { trades }) => {
    expect(rows).toHaveLength(1);
    const newest = of(trades).at(-1)?.age;
    // Several trades may have the newest time.
    const candidates = of(trades).filter(({ age }) => age === newest);
    expect(candidates.map(({ price }) => price)).toContain(rows[0]?.['price']);
  },
  'Last price of every symbol': (rows, { trades }) => {
    expect(column(rows, 'symbol')).toEqual(['BTC/USDT', 'ETH/USDT']);
    for (const row of rows) {
      const all = of(trades, row['symbol']);
      const candidates = all.filter(({ age }) => age === all.at(-1)?.age);
      expect(candidates.map(({ price }) => price)).toContain(row['price']);
    }
  },
  'Top of book and spread': ([row]) => {
    expect(units(row?.['ask'] ?? '') - units(row?.['bid'] ?? '')).toBe(
      units(row?.['spread'] ?? ''),
    );
    expect(Number(row?.['spread'])).toBeGreaterThan(0);
    const middle = (Number(row?.['ask']) + Number(row?.['bid'])) / 2;
    expect(Number(row?.['basis_points'])).toBeCloseTo((1e4 * Number(row?.['spread'])) / middle, 3);
  },
  'Depth: what is on offer within 10 basis points of the middle': (rows, { trades }) => {
    expect(column(rows, 'side')).toEqual(['ask', 'bid']);
    const last = Number(of(trades).at(-1)?.price);
    for (const row of rows) {
      expect(Number(row['levels'])).toBeGreaterThan(0);
      const average = Number(row['value']) / Number(row['amount']);
      expect(Math.abs(average / last - 1)).toBeLessThan(0.01);
    }
  },
  'VWAP of the last hour': (rows, { trades }) => {
    expect(column(rows, 'symbol')).toEqual(['BTC/USDT', 'ETH/USDT']);
    for (const row of rows) {
      const known = within(of(trades, row['symbol']), 60);
      const value = known.reduce((v, t) => v + units(t.price) * units(t.quantity), 0n);
      const volume = sum(known.map(({ quantity }) => quantity));
      expect(units(row['volume'] ?? '')).toBe(volume);
      expect(Number(row['trades'])).toBe(known.length);
      // Eight digits more than the volume has; the query keeps four.
      expect(Number(row['vwap'])).toBeCloseTo(Number(value / volume) / 1e8, 3);
    }
  },
  'Candles of 5 minutes, 15 minutes, 1 hour, 4 hours, 1 day': (rows, { candles }) => {
    expect(rows.length).toBeGreaterThanOrEqual(3);
    // The first hour is not whole: history begins in it.
    for (const row of rows.slice(1)) {
      const start = timeOf(row, 'time');
      const minutes = of(candles).filter(({ time }) => time >= start && time < start + 60 * MINUTE);
      if (minutes[0]?.time === start) expect(row['open']).toBe(minutes[0].open);
      // One minute was taken out after it was rolled up.
      expect(units(row['volume'] ?? '')).toBeGreaterThanOrEqual(sum(minutes.map((m) => m.volume)));
    }
  },
  'Candles of any other width': (rows, { candles }) => {
    const known = within(of(candles), 30);
    expect(rows.reduce((total, row) => total + Number(row['minutes']), 0)).toBe(known.length);
    expect(sum(column(rows, 'volume'))).toBe(sum(known.map(({ volume }) => volume)));
    expect(rows[0]?.['open']).toBe(known[0]?.open);
    expect(rows.at(-1)?.['close']).toBe(known.at(-1)?.close);
    for (const row of rows) {
      expect((timeOf(row, 'bucket') - Date.UTC(2000, 0, 3)) % (7 * MINUTE)).toBe(0);
      expect(units(row['high'] ?? '')).toBeGreaterThanOrEqual(units(row['low'] ?? ''));
    }
  },
  'Candles of seconds, out of trades': (rows, { trades }) => {
    const known = within(of(trades), 1);
    expect(rows.reduce((total, row) => total + Number(row['trades']), 0)).toBe(known.length);
    expect(sum(column(rows, 'volume'))).toBe(sum(known.map(({ quantity }) => quantity)));
    for (const row of rows) expect(timeOf(row, 'bucket') % 10_000).toBe(0);
  },
  'Trade imbalance, minute by minute': (rows, { trades }) => {
    const known = within(of(trades), 10);
    const bought = known.filter(({ side }) => side === 'buy').map(({ quantity }) => quantity);
    const sides = (name: string) => column(rows, name).filter((value) => value !== '0');
    expect(sum(sides('bought'))).toBe(sum(bought));
    expect(sum(sides('bought')) + sum(sides('sold'))).toBe(sum(known.map((t) => t.quantity)));
    for (const { bought: b = '', sold: s = '', imbalance } of rows) {
      const share = (Number(b) - Number(s)) / (Number(b) + Number(s));
      expect(Number(imbalance)).toBeCloseTo(share, 2);
    }
  },
  'Daily volume': (rows, { candles }) => {
    const volumes = rows.filter(({ symbol }) => symbol === 'ETH/USDT').map((row) => row['volume']);
    expect(sum(volumes as string[])).toBe(sum(of(candles, 'ETH/USDT').map((c) => c.volume)));
    for (const row of rows) {
      expect(timeOf(row, 'day') % (24 * 60 * MINUTE)).toBe(0);
      expect(Number(row['value'])).toBeGreaterThan(Number(row['volume']));
    }
  },
  'With what is known of the market': (rows, { candles }) => {
    expect(column(rows, 'base_currency')).toEqual(['BTC', 'ETH']);
    expect(column(rows, 'quote_currency')).toEqual(['USDT', 'USDT']);
    const closes = within(of(candles), 60).map(({ close }) => Number(close));
    const average = closes.reduce((total, close) => total + close, 0) / closes.length;
    expect(Number(rows[0]?.['average'])).toBeCloseTo(average, 1);
    expect(Number(rows[0]?.['minutes'])).toBe(closes.length);
  },
  'Gaps in a range': (rows) => {
    const [cut, gap] = rows;
    expect(rows).toHaveLength(2);
    expect(cut).toMatchObject({ channel: 'order_book', from_id: null, reason: 'disconnected' });
    expect(gap).toMatchObject({ symbol: 'BTC/USDT', status: 'filled', rows_filled: '5' });
    expect(Number(gap?.['to_id']) - Number(gap?.['from_id'])).toBe(4);
  },
  'Minutes without a candle': (rows, { candles, removed }) => {
    const missing = rows.map((row) => timeOf(row, 'minute'));
    const there = new Set(of(candles).map(({ time }) => time));
    expect(missing).toContain(removed);
    // Besides it the minute at most that ended when the daemon was about to start.
    expect(missing.length).toBeLessThan(3);
    for (const time of missing) expect(there.has(time)).toBe(false);
  },
  'Symbols that fell silent': (rows, { trades }) => {
    expect(column(rows, 'symbol').toSorted()).toEqual(['BTC/USDT', 'ETH/USDT']);
    expect(of(trades).length + of(trades, 'ETH/USDT').length).toBe(trades.length);
    expect(timeOf(rows[0], 'last_time')).toBeLessThanOrEqual(timeOf(rows[1], 'last_time'));
  },
  'Size of each table': (rows) => {
    expect(column(rows, 'table')).toEqual(['market_data', 'order_book', 'trades']);
    for (const row of rows) expect(row['size']).toMatch(/^\d+ (kB|MB)$/);
  },
  'What the daemons complained of': (rows) => {
    expect(rows).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'trades missing' }),
    );
  },
};
