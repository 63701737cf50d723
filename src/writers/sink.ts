/**
 * Where events go. A sink buffers for itself: `push` never blocks and never throws, is called from
 * one place only and never after `stop`. What a sink gives up on it counts, by reason.
 */
import type { MarketEvent } from '../ingest/events.ts';

export interface EventSink {
  push(event: MarketEvent): void;
}
