/** The seam between a source of market data and those who use it. Types only. */
import type { Provenance } from './adapter.ts';
import type { Channel, Instrument, MarketEvent, Micros } from './events.ts';

/** What is streamed: each channel of each instrument. */
export interface Plan {
  readonly instruments: readonly Instrument[];
  readonly channels: readonly Channel[];
}

/** A book fell out of sync: nothing that was published of it holds any more. */
export interface OrderBookLost {
  readonly type: 'order_book_lost';
  readonly symbol: string;
}

/** The trades of a symbol come again, or from another socket: some may have been missed. */
export interface TradesResumed {
  readonly type: 'trades_resumed';
  readonly symbol: string;
}

/** The socket of a stream ended, and no other had taken over. */
export interface StreamInterrupted {
  readonly type: 'interrupted';
  readonly channel: Channel;
  readonly symbol: string;
  /** Of its last data. */
  readonly since: Micros;
}

export type SourceEvent = MarketEvent | OrderBookLost | TradesResumed | StreamInterrupted;

export interface StreamStatus {
  readonly channel: Channel;
  readonly symbol: string;
  readonly provenance: Provenance;
  readonly state: 'connecting' | 'live' | 'stale';
  readonly messages: number;
  /** Ms since the last data, or since it was subscribed. */
  readonly silentMs: number;
}

export interface SourceStatus {
  readonly connections: { readonly open: number; readonly wanted: number };
  readonly orderBooksInSync: number;
  readonly streams: readonly StreamStatus[];
}

export interface MarketSource {
  /**
   * Streams until `signal` aborts, through every fault of the exchange; then resolves, with its
   * sockets closed. Rejects never. `emit` is called synchronously, in the order of the frames.
   */
  run(plan: Plan, emit: (event: SourceEvent) => void, signal: AbortSignal): Promise<void>;
  /** The newest candle of a market that an earlier run stored: those since then are fetched. */
  candlesStored?(symbol: string, time: Micros): void;
  status(): SourceStatus;
}
