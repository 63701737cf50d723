/** One simulated market: its trades so far, its candles and its book. No socket, and time is an argument. */
import { createSimCandles } from './candles.ts';
import { instrumentOf } from './instrument.ts';
import { createSimOrderBook } from './order-book.ts';
import { hash, hashText } from './random.ts';
import { createTradeLaw, type FillGroup, type SimTrade } from './trade-law.ts';
import { createTradeTimes } from './trade-times.ts';

export type TradingStatus = 'TRADING' | 'BREAK' | 'HALT' | 'END_OF_DAY' | 'CANCEL_ONLY';

export interface EmittedTrade extends SimTrade {
  readonly time: number;
}

export interface EmittedAggregate extends FillGroup {
  readonly ticks: number;
  readonly lots: number;
  readonly takerSells: boolean;
  /** Of the last fill. */
  readonly time: number;
}

export interface MarketOptions {
  readonly seed: number;
  readonly symbol: string;
  readonly now: number;
  readonly candleMs: number;
  readonly bookLevels: number;
  readonly depthIntervalMs: number;
  /** Candles before `now` that are filled with backdated trades. */
  readonly historyCandles: number;
  readonly firstTradeId?: number | undefined;
}

export type SimMarket = ReturnType<typeof createSimMarket>;

const HISTORY_TRADES_PER_CANDLE = 5;

export function createSimMarket(options: MarketOptions) {
  const { seed, candleMs, depthIntervalMs, now } = options;
  const instrument = instrumentOf(options.symbol);
  const law = createTradeLaw(seed, instrument);
  // Symbols start far apart, so that mixing them up shows. A multiple of four begins an order.
  const firstId =
    4 * Math.ceil((options.firstTradeId ?? 1e6 + (hash(0, hashText(options.symbol), 0) % 1e6)) / 4);
  const historyStart = (Math.floor(now / candleMs) - options.historyCandles) * candleMs;
  const times = createTradeTimes(firstId);
  const candles = createSimCandles(candleMs, historyStart, law.touch(firstId).bid);
  const book = createSimOrderBook({
    law,
    instrument,
    levels: options.bookLevels,
    firstUpdateId: firstId * 8 + 1,
  });

  const tradeAt = (id: number): EmittedTrade => ({ ...law.trade(id), time: times.timeOf(id) });

  /** The next trade, now. `roll` the candles to the same time before. */
  const emit = (time: number): EmittedTrade => {
    const trade = law.trade(times.nextId());
    times.append(time);
    candles.add(trade);
    return { ...trade, time };
  };

  const advanceBook = (time: number) =>
    book.advance(Math.max(firstId, times.nextId() - 1), Math.floor(time / depthIntervalMs));

  const aggregateAt = (aggregateId: number): EmittedAggregate => {
    const group = law.groupAt(aggregateId);
    const { ticks, takerSells } = law.trade(group.firstId);
    let lots = 0;
    for (let id = group.firstId; id <= group.lastId; id += 1) lots += law.trade(id).lots;
    return { ...group, ticks, lots, takerSells, time: times.timeOf(group.lastId) };
  };

  if (options.historyCandles > 0) {
    for (let time = historyStart; time < now; time += candleMs / HISTORY_TRADES_PER_CANDLE) {
      candles.roll(Math.floor(time));
      emit(Math.floor(time));
    }
  }
  candles.roll(now);
  advanceBook(now);

  return {
    instrument,
    law,
    times,
    candles,
    book,
    status: 'TRADING' as TradingStatus,
    emit,
    tradeAt,
    advanceBook,
    aggregateAt,
    /** Ids of the first aggregate, and of the first that is not complete yet. */
    aggregateIds: () => ({
      first: law.groupOf(firstId).aggregateId,
      end: law.groupOf(times.nextId()).aggregateId,
    }),
  };
}
