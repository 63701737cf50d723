/**
 * Bybit linear: perpetual and dated contracts in USDT and USDC.
 * https://bybit-exchange.github.io/docs/v5/ws/connect
 *
 * | channel    | stream                 | role                                       | fixture                      |
 * | ---------- | ---------------------- | ------------------------------------------ | ---------------------------- |
 * | trades     | `publicTrade.<s>`      | several a frame; ids are UUIDs             | bybit-linear/trade           |
 * | candles    | `kline.1.<s>`          | closed by flag `confirm`, no trade count;  | bybit-linear/kline           |
 * |            |                        | the next one in the same frame             |                              |
 * |            | GET kline              | repair                                     | bybit-linear/candle-history  |
 * | order_book | `orderbook.<n>.<s>`    | snapshot and diffs, `u` + 1 each, `u` 1: a | bybit-linear/book            |
 * |            |                        | restart; of the best n levels              |                              |
 * | -          | -                      | acknowledgements, refusals, pongs          | bybit-linear/control         |
 * | -          | GET instruments-info   | markets, in pages                          | bybit-linear/markets         |
 */
import { createBybit } from './bybit.ts';

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];

export const bybitLinear = createBybit({
  id: 'bybit-linear',
  category: 'linear',
  // There is no limit; but one bad topic refuses its whole frame.
  streamsPerFrame: 10,
  venueSymbol,
  // Settled in what it is quoted in: that is what linear means.
  nameOf(base, quote, name) {
    const expiry = expiryOf(name);
    return `${base}/${quote}:${quote}${expiry === undefined ? '' : `-${expiry}`}`;
  },
  quantityStep: 'qtyStep',
  maxOrderSize: 'maxOrderQty',
});

/** `BTCUSDT`, `BTCPERP` (settled in USDC), `BTCUSDT-25SEP26`, `BTC-25SEP26` (USDC). */
function venueSymbol(base: string, quote: string, settle = ''): string {
  const [, expiry] = settle.split('-');
  const pair = quote === 'USDC' ? base : `${base}${quote}`;
  if (expiry === undefined) return quote === 'USDC' ? `${base}PERP` : pair;
  const [, year = '', month = '', day = ''] = /^(\d\d)(\d\d)(\d\d)$/.exec(expiry) ?? [];
  return `${pair}-${day}${MONTHS[Number(month) - 1]}${year}`;
}

/** `BTCUSDT-25SEP26` -> `260925` */
function expiryOf(name: string): string | undefined {
  const [, day = '', month = '', year] = /-(\d\d)([A-Z]{3})(\d\d)$/.exec(name) ?? [];
  if (year === undefined) return undefined;
  return `${year}${String(MONTHS.indexOf(month) + 1).padStart(2, '0')}${day}`;
}
