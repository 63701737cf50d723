/**
 * Makes the markets live: each turn closes candles, emits the trades that are due and publishes what
 * is due to be published. Everything goes by the exchange's clock, so a test that holds the clock
 * holds the market.
 */
import { setImmediate } from 'node:timers/promises';
import { createArrivals, type Arrivals } from './arrivals.ts';
import type { SimCandle } from './candles.ts';
import { aggregateFrame, depthFrame, klineFrame, tradeFrame } from './frames.ts';
import type { Journal } from './journal.ts';
import type { SimMarket } from './market.ts';
import { hashText } from './random.ts';
import type { StreamHub } from './stream-hub.ts';

export interface EngineOptions {
  readonly seed: number;
  readonly markets: readonly SimMarket[];
  readonly hub: StreamHub;
  readonly journal: Journal | null;
  readonly now: () => number;
  /** Of all markets together. */
  readonly tradesPerSecond: number;
  readonly arrivals: Arrivals;
  readonly depthIntervalMs: number;
  readonly klineIntervalMs: number;
}

export type Engine = ReturnType<typeof createEngine>;

const TURN_MS = 10;
/** `@depth` is ten times slower than `@depth@100ms`. */
const SLOW_DEPTH_FACTOR = 10;
/** A burst lets the sockets breathe after this many trades. */
const BURST_CHUNK = 1000;

export function createEngine(options: EngineOptions) {
  const { hub, journal, now } = options;
  const counters = { trades: 0, skippedTrades: 0, candles: 0, depthUpdates: 0, skippedDepth: 0 };
  const lanes = options.markets.map((market) => createLane(market, options));
  let tradesPerSecond = options.tradesPerSecond;
  const stopping = new AbortController();

  const laneOf = (symbol: string): Lane => {
    const lane = lanes.find(({ market }) => market.instrument.symbol === symbol);
    if (lane === undefined) throw new RangeError(`no market ${symbol}`);
    return lane;
  };

  const publishKline = ({ market, streams }: Lane, candle: Readonly<SimCandle>, closed: boolean) =>
    hub.publish(streams.kline, () => klineFrame(candle, market.instrument, now(), closed));

  const rollCandles = (lane: Lane, time: number) => {
    for (const candle of lane.market.candles.roll(time)) {
      journal?.candle(candle, lane.market.instrument);
      counters.candles += 1;
      publishKline(lane, candle, true);
    }
  };

  const emitTrade = (lane: Lane, time: number) => {
    const { market, streams } = lane;
    const { instrument } = market;
    const trade = market.emit(time);
    journal?.trade(trade, instrument);
    counters.trades += 1;
    if (lane.tradesToSkip > 0) {
      lane.tradesToSkip -= 1;
      counters.skippedTrades += 1;
      return;
    }
    hub.publish(streams.trade, () => tradeFrame(trade, instrument, time));
    if (trade.id !== trade.group.lastId) return;
    const { aggregateId } = trade.group;
    hub.publish(streams.aggregate, () =>
      aggregateFrame(market.aggregateAt(aggregateId), instrument, time),
    );
  };

  const emitDue = (lane: Lane, time: number) => {
    const { market, arrivals } = lane;
    arrivals.advance(time, market.status === 'TRADING' ? tradesPerSecond / lanes.length : 0);
    // All fills of an order happen at once.
    for (;;) {
      const nextId = market.times.nextId();
      const fills = market.law.groupOf(nextId).lastId - nextId + 1;
      if (!arrivals.take(fills)) return;
      for (let i = 0; i < fills; i += 1) emitTrade(lane, time);
    }
  };

  const publishDepth = (lane: Lane, time: number) => {
    const { market } = lane;
    const windows = lane.windows.filter((window) => window.due(time));
    if (windows.length === 0) return;
    market.advanceBook(time);
    for (const window of windows) {
      const diff = window.take();
      if (diff === null) continue;
      if (window.toSkip > 0) {
        window.toSkip -= 1;
        counters.skippedDepth += 1;
        continue;
      }
      counters.depthUpdates += 1;
      hub.publish(window.stream, () => depthFrame(diff, market.instrument, time));
    }
  };

  const turn = () => {
    const time = now();
    for (const lane of lanes) {
      rollCandles(lane, time);
      emitDue(lane, time);
      publishDepth(lane, time);
      if (lane.klineDue(time)) publishKline(lane, lane.market.candles.current(), false);
    }
    // Before the sockets are uncorked, which happens when this turn has ended.
    journal?.flush();
  };
  const timer = setInterval(turn, TURN_MS);

  return {
    counters: counters as Readonly<typeof counters>,
    setRate(perSecond: number): void {
      tradesPerSecond = perSecond;
    },
    market: (symbol: string): SimMarket => laneOf(symbol).market,
    skipNextTrades(symbol: string, count: number): void {
      laneOf(symbol).tradesToSkip += count;
    },
    skipNextDepth(symbol: string): void {
      for (const window of laneOf(symbol).windows) window.toSkip += 1;
    },
    async burst(symbol: string, count: number): Promise<void> {
      const lane = laneOf(symbol);
      for (let left = count; left > 0 && !stopping.signal.aborted; left -= BURST_CHUNK) {
        const time = now();
        rollCandles(lane, time);
        for (let i = 0; i < Math.min(left, BURST_CHUNK); i += 1) emitTrade(lane, time);
        journal?.flush();
        await setImmediate();
      }
    },
    stop(): void {
      stopping.abort();
      clearInterval(timer);
    },
  };
}

type Lane = ReturnType<typeof createLane>;

/** A market with its stream names, and what is due when. */
function createLane(market: SimMarket, options: EngineOptions) {
  const { depthIntervalMs, klineIntervalMs, seed, arrivals: kind, now } = options;
  const { symbol, venueSymbol } = market.instrument;
  const start = now();
  const name = venueSymbol.toLowerCase();
  const depth = (stream: string, intervalMs: number) => {
    const diffs = market.book.openWindow();
    return { stream, take: () => diffs.take(), due: every(intervalMs, start), toSkip: 0 };
  };
  return {
    market,
    streams: { trade: `${name}@trade`, aggregate: `${name}@aggTrade`, kline: `${name}@kline_1m` },
    windows: [
      depth(`${name}@depth@100ms`, depthIntervalMs),
      depth(`${name}@depth`, depthIntervalMs * SLOW_DEPTH_FACTOR),
    ],
    klineDue: every(klineIntervalMs, start),
    arrivals: createArrivals({ seed: seed ^ hashText(symbol), kind, now: start }),
    tradesToSkip: 0,
  };
}

/** True once in each interval of the clock, from the next one on. */
function every(intervalMs: number, start: number): (time: number) => boolean {
  let last = Math.floor(start / intervalMs);
  return (time) => {
    const current = Math.floor(time / intervalMs);
    const due = current !== last;
    last = current;
    return due;
  };
}
