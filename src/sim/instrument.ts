/** What can be traded on the simulated exchange, and how its integers are written. */
import { hashText } from './random.ts';

/** Digits after the point of every decimal on the wire, as on the exchange. */
const WIRE_DECIMALS = 8;

export interface SimInstrument {
  /** BTC/USDT */
  readonly symbol: string;
  /** BTCUSDT */
  readonly venueSymbol: string;
  readonly base: string;
  readonly quote: string;
  /** A price of 1 is 10^priceDecimals ticks; a quantity of 1 is 10^lotDecimals lots. */
  readonly priceDecimals: number;
  readonly lotDecimals: number;
  readonly startTicks: number;
}

/** Tick and lot sizes of the real markets: [start price in ticks, price decimals, lot decimals]. */
const KNOWN: Readonly<Record<string, readonly [number, number, number]>> = {
  'BTC/USDT': [6_412_350, 2, 5],
  'ETH/USDT': [312_480, 2, 4],
  'SOL/USDT': [15_236, 2, 3],
  'BNB/USDT': [61_840, 2, 3],
  'XRP/USDT': [21_875, 4, 1],
};

export function instrumentOf(symbol: string): SimInstrument {
  const [base, quote, ...rest] = symbol.split('/');
  if (!base || !quote || rest.length > 0) {
    throw new RangeError(`not a symbol like BTC/USDT: ${symbol}`);
  }
  const [startTicks, priceDecimals, lotDecimals] = KNOWN[symbol] ?? [
    10_000 + (hashText(symbol) % 990_000),
    4,
    1,
  ];
  const venueSymbol = base + quote;
  return { symbol, venueSymbol, base, quote, priceDecimals, lotDecimals, startTicks };
}

/** 6412350 ticks of two decimals -> `64123.50000000`. Integers in, text out: no float is ever printed. */
export function formatUnits(units: number | bigint, decimals: number): string {
  const digits = units.toString().padStart(decimals + 1, '0');
  const point = digits.length - decimals;
  return `${digits.slice(0, point)}.${digits.slice(point).padEnd(WIRE_DECIMALS, '0')}`;
}

export const formatPrice = (ticks: number, instrument: SimInstrument) =>
  formatUnits(ticks, instrument.priceDecimals);

export const formatQuantity = (lots: number, instrument: SimInstrument) =>
  formatUnits(lots, instrument.lotDecimals);

/** A price times a quantity; their decimals add up to at most eight. */
export const formatQuote = (units: bigint, instrument: SimInstrument) =>
  formatUnits(units, instrument.priceDecimals + instrument.lotDecimals);
