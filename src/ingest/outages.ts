/**
 * Intervals in which a stream was not followed and whose contents cannot be asked for: samples of order
 * books, trades without countable ids. Each becomes a row of ingest_gaps.
 *
 *   followed --interrupted, book out of sync, an earlier run ended--> missing --next data--> followed
 */
import type { Channel, Micros } from './events.ts';

export interface Outage {
  readonly channel: Channel;
  readonly symbol: string;
  readonly fromTime: Micros;
  readonly toTime: Micros;
  readonly reason: OutageReason;
}

export type OutageReason = 'disconnected' | 'out_of_sync' | 'not_running' | 'too_old';

export interface OutagesOptions {
  readonly snapshotIntervalMs: number;
  /** Trades have no ids by which they could be asked for. */
  readonly tradesByTime: boolean;
  readonly record: (outage: Outage) => void;
}

interface Followed {
  /** Of the first data of this run. */
  readonly firstAt: Micros;
  missing: { readonly since: Micros; readonly reason: OutageReason } | undefined;
}

export function createOutages({ snapshotIntervalMs, tradesByTime, record }: OutagesOptions) {
  const interval = snapshotIntervalMs * 1000;
  const order_book = new Map<string, Followed>();
  const trades = new Map<string, Followed>();
  /** Last stored by an earlier run; what this run brings first ends the gap. */
  const before = { order_book: new Map<string, Micros>(), trades: new Map<string, Micros>() };

  function followedOf(channel: Channel): Map<string, Followed> | undefined {
    if (channel === 'order_book') return order_book;
    return channel === 'trades' && tradesByTime ? trades : undefined;
  }

  function close(
    channel: 'order_book' | 'trades',
    symbol: string,
    outage: Followed['missing'],
    at: Micros,
  ) {
    if (!outage || outage.since >= at) return;
    // A book is sampled on a grid: where no point of it was passed, nothing is missing.
    const isSampled = Math.floor(outage.since / interval) !== Math.floor(at / interval);
    if (channel === 'order_book' && !isSampled) return;
    record({ channel, symbol, fromTime: outage.since, toTime: at, reason: outage.reason });
  }

  return {
    /** Data came, or trades may come again. */
    seen(channel: 'order_book' | 'trades', symbol: string, at: Micros): void {
      const streams = followedOf(channel);
      const followed = streams?.get(symbol);
      if (followed) {
        if (!followed.missing) return;
        close(channel, symbol, followed.missing, at);
        followed.missing = undefined;
      } else if (streams) {
        streams.set(symbol, { firstAt: at, missing: undefined });
        const since = before[channel].get(symbol);
        if (since !== undefined) close(channel, symbol, { since, reason: 'not_running' }, at);
      }
    },
    /** Nothing came since then, or what came does not hold. */
    interrupted(channel: Channel, symbol: string, since: Micros, reason: OutageReason): void {
      const followed = followedOf(channel)?.get(symbol);
      if (!followed) return;
      const { missing } = followed;
      // A book goes out of sync because its socket is gone: that is the reason then.
      if (!missing) followed.missing = { since, reason };
      else if (reason === 'disconnected')
        followed.missing = { since: Math.min(since, missing.since), reason };
    },
    /** The newest row that an earlier run stored. */
    storedBefore(channel: 'order_book' | 'trades', symbol: string, time: Micros): void {
      const streams = followedOf(channel);
      const first = streams?.get(symbol)?.firstAt;
      if (first !== undefined)
        close(channel, symbol, { since: time, reason: 'not_running' }, first);
      else if (streams) before[channel].set(symbol, time);
    },
    /** The run ends: what is missing until now is all that will be known of it. */
    end(at: Micros): void {
      for (const channel of ['order_book', 'trades'] as const) {
        for (const [symbol, { missing }] of followedOf(channel) ?? [])
          close(channel, symbol, missing, at);
      }
    },
  };
}
