/** What Redis holds under one key, and how it is written. */
import type { OrderBookSnapshot, Trade } from '../ingest/events.ts';

export interface MetricSample {
  readonly type: 'metric';
  readonly time: number;
  readonly value: number;
}

export type LatestValue = Trade | OrderBookSnapshot | MetricSample;

/** Names of the HASH's fields, in the order of `valuesOf`. */
export const FIELDS = {
  trade: ['price', 'timestamp', 'volume'],
  order_book: ['bids', 'asks', 'timestamp'],
  metric: ['value', 'timestamp'],
} as const satisfies Record<LatestValue['type'], readonly string[]>;

/** Timestamps are ms; all else are the digits of the event. */
export function valuesOf(value: LatestValue): readonly string[] {
  const timestamp = String(Math.floor(value.time / 1000));
  switch (value.type) {
    case 'trade':
      return [value.price, timestamp, value.quantity];
    case 'order_book':
      return [JSON.stringify(value.bids), JSON.stringify(value.asks), timestamp];
    case 'metric':
      return [String(value.value), timestamp];
  }
}

export function fieldsOf(value: LatestValue): Record<string, string> {
  const values = valuesOf(value);
  return Object.fromEntries(FIELDS[value.type].map((name, i) => [name, values[i] ?? '']));
}
