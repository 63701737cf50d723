/**
 * Bybit spot. https://bybit-exchange.github.io/docs/v5/ws/connect
 *
 * | channel    | stream                 | role                                       | fixture                    |
 * | ---------- | ---------------------- | ------------------------------------------ | -------------------------- |
 * | trades     | `publicTrade.<s>`      | several a frame; ids in no order           | bybit-spot/trade           |
 * | candles    | `kline.1.<s>`          | closed by flag `confirm`, no trade count   | bybit-spot/kline           |
 * |            | GET kline              | repair                                     | bybit-spot/candle-history  |
 * | order_book | `orderbook.<n>.<s>`    | snapshot and diffs, `u` + 1 each, `u` 1: a | bybit-spot/book            |
 * |            |                        | restart; of the best n levels              |                            |
 * | -          | -                      | acknowledgements, refusals, pongs          | bybit-spot/control         |
 * | -          | GET instruments-info   | markets                                    | bybit-spot/markets         |
 */
import { createBybit } from './bybit.ts';

export const bybitSpot = createBybit({
  id: 'bybit-spot',
  category: 'spot',
  // More are refused.
  streamsPerFrame: 10,
  venueSymbol: (base, quote) => `${base}${quote}`,
  nameOf: (base, quote) => `${base}/${quote}`,
  quantityStep: 'basePrecision',
  maxOrderSize: 'maxLimitOrderQty',
});
