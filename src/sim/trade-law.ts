/**
 * The law of one market: what trade number `id` is, and where the market stands at it. Pure, so that
 * history needs no storage and a test can make any trade again from (seed, symbol, id).
 *
 * The price is a sum of noises whose periods grow by eight and whose amplitudes grow by the square
 * root of that: a random walk on every scale, yet with random access, and it never wanders off to zero.
 *
 * Fills of one taker order share price and side. Each four ids make up two such groups of one to
 * three fills, so the group (the "aggregate trade") of an id and the ids of a group need no search.
 */
import type { SimInstrument } from './instrument.ts';
import { hash, hashText, uniform } from './random.ts';

/** One taker order: its aggregate id and the trade ids it filled. */
export interface FillGroup {
  readonly aggregateId: number;
  readonly firstId: number;
  readonly lastId: number;
}

export interface SimTrade {
  readonly id: number;
  readonly group: FillGroup;
  readonly ticks: number;
  readonly lots: number;
  /** The taker sold: on the wire, "buyer is maker". */
  readonly takerSells: boolean;
}

/** Best prices, in ticks. */
export interface Touch {
  readonly bid: number;
  readonly ask: number;
}

export type TradeLaw = ReturnType<typeof createTradeLaw>;

const PERIODS = [1, 8, 64, 512, 4096, 32_768, 262_144];
/** Of the price, per square root of a trade: about 1.5 % over the longest period. */
const VOLATILITY = 3e-5;
const LARGEST_NOTIONAL = 20_000;
const SALT = { side: 1, lots: 2, spread: 3, split: 4, level: 5, place: 6, noise: 16 };

export function createTradeLaw(seed: number, instrument: SimInstrument) {
  const own = hash(seed, hashText(instrument.symbol), 0);
  const { startTicks, priceDecimals, lotDecimals } = instrument;
  const noises = PERIODS.map((period, index) => ({
    period,
    amplitude: startTicks * VOLATILITY * Math.sqrt(period),
    salt: SALT.noise + index,
  }));
  const lotsPerNotional = 10 ** (priceDecimals + lotDecimals) / startTicks;
  const widestSpread = Math.max(1, Math.round(startTicks * 2e-6));

  const groupOfBlock = (block: number, second: boolean): FillGroup => {
    const start = block * 4;
    const split = start + 1 + (hash(own, block, SALT.split) % 3);
    return second
      ? { aggregateId: 2 * block + 1, firstId: split, lastId: start + 3 }
      : { aggregateId: 2 * block, firstId: start, lastId: split - 1 };
  };
  const groupOf = (id: number): FillGroup => {
    const block = Math.floor(id / 4);
    const group = groupOfBlock(block, false);
    return id <= group.lastId ? group : groupOfBlock(block, true);
  };
  const groupAt = (aggregateId: number): FillGroup =>
    groupOfBlock(Math.floor(aggregateId / 2), aggregateId % 2 === 1);

  const touchAt = (id: number): Touch => {
    let ticks = startTicks;
    for (const { period, amplitude, salt } of noises) {
      const cell = Math.floor(id / period);
      const from = uniform(own, cell, salt);
      const to = uniform(own, cell + 1, salt);
      ticks += amplitude * 2 * (from + ((to - from) * (id - cell * period)) / period - 0.5);
    }
    const bid = Math.max(1, Math.round(ticks));
    return { bid, ask: bid + 1 + (hash(own, id, SALT.spread) % widestSpread) };
  };

  return {
    groupOf,
    groupAt,
    /** Best prices while trade `id` was the last one of its order. */
    touch: (id: number): Touch => touchAt(groupOf(id).firstId),
    trade(id: number): SimTrade {
      const group = groupOf(id);
      const touch = touchAt(group.firstId);
      const takerSells = (hash(own, group.aggregateId, SALT.side) & 1) === 1;
      const lots = size(own, LARGEST_NOTIONAL * lotsPerNotional, id);
      return { id, group, ticks: takerSells ? touch.bid : touch.ask, lots, takerSells };
    },
    /** What rests at a price; each price is re-sized every 32 generations, at its own moment. */
    restingLots(ticks: number, generation: number): number {
      const age = Math.floor((generation + (hash(own, ticks, SALT.place) & 31)) / 32);
      return size(hash(own, age, SALT.level), 3 * LARGEST_NOTIONAL * lotsPerNotional, ticks);
    },
    /** The price within cell number `cell` of `stride` ticks at which orders rest. */
    restingTicks: (cell: number, stride: number): number =>
      cell * stride + (hash(own, cell, SALT.place) % stride),
  };
}

/** Heavy-tailed: mostly small, rarely close to `largest`. */
function size(key: number, largest: number, value: number): number {
  const u = uniform(key, value, SALT.lots);
  return 1 + Math.floor(largest * u * u * u * u);
}
