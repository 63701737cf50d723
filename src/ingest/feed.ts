/**
 * Runs the source and fans its events out: to the latest values first, then to the recorder. Order
 * books go to the recorder as samples.
 */
import { createRateLimitedLogger, type Logger } from '../log.ts';
import type { Service } from '../lifecycle.ts';
import type { Metrics } from '../metrics.ts';
import { LONGEST_ASKED } from './candle-audit.ts';
import { createCursor } from './cursor.ts';
import type { Channel, MarketEvent, Micros, Trade } from './events.ts';
import { minuteOf } from './minutes.ts';
import { createOutages, type Outage } from './outages.ts';
import type { Repair } from './repair.ts';
import { createSampler } from './sampler.ts';
import type { MarketSource, Plan, SourceEvent } from './source.ts';

export interface FeedOptions {
  readonly source: MarketSource;
  readonly plan: (signal: AbortSignal) => Promise<Plan>;
  /** Trade ids count up by one per symbol, so that a hole can be seen. */
  readonly contiguousTradeIds: boolean;
  /** Undefined where there is no history of trades by id. */
  readonly repair?: Repair | undefined;
  readonly snapshotIntervalMs: number;
  readonly latest: (event: MarketEvent) => void;
  readonly record: (event: MarketEvent) => void;
  /** What was not followed and cannot be had. */
  readonly recordOutage: (outage: Outage) => void;
  readonly now: () => Micros;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

const TICK_MS = 100;
const OBSERVE_MS = 1_000;

export interface Feed extends Service {
  /** Asks the exchange whether trades are missing that the stream did not bring. */
  recheck(): void;
  /** The newest row of a stream that an earlier run stored. */
  storedBefore(channel: Channel, symbol: string, time: Micros): void;
}

export function createFeed(options: FeedOptions): Feed {
  const { source, repair, latest, record, now, metrics, logger } = options;
  const limited = createRateLimitedLogger(logger);
  const cursor = createCursor();
  const sampler = createSampler(options.snapshotIntervalMs, record);
  const outages = createOutages({
    snapshotIntervalMs: options.snapshotIntervalMs,
    tradesByTime: !options.contiguousTradeIds,
    record: options.recordOutage,
  });
  const stopping = new AbortController();
  // Metrics are brought up to date by a timer: a labelled counter costs more than decoding a trade.
  const counts = { trade: 0, candle: 0, order_book: 0 };
  const lastAt: Record<keyof typeof counts, Micros> = { trade: 0, candle: 0, order_book: 0 };
  let lagSampledAt: Micros = 0;
  let running: Promise<unknown> = Promise.resolve();
  let timers: NodeJS.Timeout[] = [];
  let instruments: Plan['instruments'] = [];

  function handle(event: SourceEvent): void {
    switch (event.type) {
      case 'order_book_lost':
        sampler.forget(event.symbol);
        outages.interrupted('order_book', event.symbol, now(), 'out_of_sync');
        return;
      case 'interrupted':
        outages.interrupted(event.channel, event.symbol, event.since, 'disconnected');
        return;
      case 'trades_resumed':
        repair?.resumed(event.symbol);
        outages.seen('trades', event.symbol, now());
        return;
      case 'trade':
      case 'candle':
      case 'order_book':
        pass(event);
    }
  }

  function pass(event: MarketEvent): void {
    counts[event.type]++;
    lastAt[event.type] = event.receivedAt;
    switch (event.type) {
      case 'trade':
        latest(event);
        record(event);
        if (options.contiguousTradeIds) watchIds(event.symbol, event.tradeId);
        repair?.seen(event.symbol);
        if (!options.contiguousTradeIds) outages.seen('trades', event.symbol, event.receivedAt);
        sampleLag(event.time, event.receivedAt);
        return;
      case 'candle':
        record(event);
        return;
      case 'order_book':
        latest(event);
        outages.seen('order_book', event.symbol, event.receivedAt);
        sampler.push(event);
    }
  }

  /** The history fills what it still shows; what is older is for `hyperfeed backfill`. */
  function candlesStored(symbol: string, time: Micros): void {
    const oldest = minuteOf(now()) - LONGEST_ASKED;
    if (time < oldest) {
      const reason = 'too_old';
      options.recordOutage({ channel: 'candles', symbol, fromTime: time, toTime: oldest, reason });
    }
    source.candlesStored?.(symbol, Math.max(time, oldest));
  }

  /** By REST: an old one would look like a duplicate, and move a latest price for nothing. */
  function reveal(trade: Trade): void {
    if (cursor.isNew(trade.symbol, trade.tradeId)) handle(trade);
  }

  function watchIds(symbol: string, tradeId: string): void {
    const seen = cursor.observe(symbol, tradeId);
    if (seen.kind !== 'gap') return;
    metrics.sequenceGaps.inc({ channel: 'trades' });
    const { from, to, missing } = seen;
    limited.warn({ symbol, from, to, missing }, 'trades missing');
  }

  /** At most once per clock tick, which is enough to see the distribution. */
  function sampleLag(time: Micros, receivedAt: Micros): void {
    if (receivedAt === lagSampledAt) return;
    lagSampledAt = receivedAt;
    metrics.eventLag.observe(Math.max(0, receivedAt - time) / 1e6);
  }

  function tick(): void {
    sampler.advance(now());
    for (const type of ['trade', 'candle', 'order_book'] as const) {
      if (counts[type] === 0) continue;
      metrics.events.inc({ type }, counts[type]);
      metrics.lastEvent.set({ type }, lastAt[type] / 1e6);
      counts[type] = 0;
    }
  }

  function observe(): void {
    const { orderBooksInSync, streams } = source.status();
    metrics.orderBooksInSync.set(orderBooksInSync);
    for (const state of ['connecting', 'live', 'stale'] as const) {
      metrics.streams.set({ state }, streams.filter((stream) => stream.state === state).length);
    }
  }

  return {
    name: 'feed',
    recheck(): void {
      for (const { symbol } of instruments) repair?.resumed(symbol);
    },
    storedBefore(channel, symbol, time): void {
      if (channel === 'candles') candlesStored(symbol, time);
      else outages.storedBefore(channel, symbol, time);
    },
    async start(signal) {
      const plan = await options.plan(signal);
      instruments = plan.instruments;
      timers = [setInterval(tick, TICK_MS), setInterval(observe, OBSERVE_MS)];
      const { signal: stopped } = stopping;
      running = Promise.all([
        source.run(plan, handle, stopped),
        repair?.run(plan.instruments, reveal, stopped),
      ]);
    },
    async stop() {
      stopping.abort();
      await running;
      for (const timer of timers) clearInterval(timer);
      tick();
      outages.end(now());
    },
  };
}
