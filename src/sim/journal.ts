/**
 * What the simulated exchange really did, as NDJSON: the oracle that a test compares a database with.
 * Lines are written before the frames that they describe leave the process.
 */
import { appendFileSync, closeSync, openSync } from 'node:fs';
import type { SimCandle } from './candles.ts';
import { candleText } from './frames.ts';
import { formatPrice, formatQuantity, type SimInstrument } from './instrument.ts';
import type { EmittedTrade } from './market.ts';

export interface JournalTrade {
  readonly type: 'trade';
  readonly symbol: string;
  readonly id: number;
  readonly price: string;
  readonly qty: string;
  readonly side: 'buy' | 'sell';
  /** Milliseconds. */
  readonly time: number;
}

/** A closed candle; `time` is when it opened. */
export interface JournalCandle {
  readonly type: 'candle';
  readonly symbol: string;
  readonly time: number;
  readonly open: string;
  readonly high: string;
  readonly low: string;
  readonly close: string;
  readonly volume: string;
  readonly trades: number;
}

export type JournalEntry = JournalTrade | JournalCandle;

export interface Journal {
  trade(trade: EmittedTrade, instrument: SimInstrument): void;
  candle(candle: Readonly<SimCandle>, instrument: SimInstrument): void;
  /** Hands all lines to the operating system: from here on they survive the end of this process. */
  flush(): void;
  close(): void;
}

export function createJournal(path: string): Journal {
  const file = openSync(path, 'a');
  let lines = '';
  const add = (entry: JournalEntry) => {
    lines += `${JSON.stringify(entry)}\n`;
  };
  const flush = () => {
    if (lines === '') return;
    appendFileSync(file, lines);
    lines = '';
  };

  return {
    trade(trade, instrument) {
      add({
        type: 'trade',
        symbol: instrument.symbol,
        id: trade.id,
        price: formatPrice(trade.ticks, instrument),
        qty: formatQuantity(trade.lots, instrument),
        side: trade.takerSells ? 'sell' : 'buy',
        time: trade.time,
      });
    },
    candle(candle, instrument) {
      const { open, high, low, close, volume } = candleText(candle, instrument);
      const { openTime: time, trades } = candle;
      const { symbol } = instrument;
      add({ type: 'candle', symbol, time, open, high, low, close, volume, trades });
    },
    flush,
    close() {
      flush();
      closeSync(file);
    },
  };
}
