/** What Redis holds under one key, and how it is written. */
import type { OrderBookSnapshot, Trade } from '../ingest/events.ts';

export interface MetricSample {
  readonly type: 'metric';
  readonly time: number;
  readonly value: number;
}

export type LatestValue = Trade | OrderBookSnapshot | MetricSample;

/** Names and values of the HASH. Timestamps are ms; all else are the digits of the event. */
export function fieldsOf(value: LatestValue): Record<string, string> {
  const timestamp = String(Math.floor(value.time / 1000));
  switch (value.type) {
    case 'trade':
      return { price: value.price, timestamp, volume: value.quantity };
    case 'order_book':
      return { bids: JSON.stringify(value.bids), asks: JSON.stringify(value.asks), timestamp };
    case 'metric':
      return { value: String(value.value), timestamp };
  }
}
