/** What the page shows of the daemon: /status, and what changes from one second to the next. */
import type { Health } from '../health.ts';
import type { Channel, MarketEvent, OpenGap } from '../ingest/events.ts';
import type { StreamStatus } from '../ingest/source.ts';
import type { Metrics } from '../metrics.ts';
import { createStoredRates } from '../stored-rates.ts';
import { candleLagMs, type MarketView } from './market-view.ts';

export interface StatusViewOptions {
  readonly health: Pick<Health, 'status'>;
  readonly streams: () => readonly StreamStatus[];
  readonly openGaps: () => readonly OpenGap[];
  readonly metrics: Metrics;
}

const EVENT_OF: Readonly<Record<Channel, MarketEvent['type']>> = {
  trades: 'trade',
  candles: 'candle',
  order_book: 'order_book',
};

interface Counted {
  readonly rows: number;
  readonly messages: number;
}

/** Made when somebody begins to watch: rates start there. */
export function createStatusView(options: StatusViewOptions, market: MarketView) {
  const { health, streams, openGaps, metrics } = options;
  const storedRates = createStoredRates(metrics);
  let before: ReadonlyMap<string, Counted> | undefined;
  let beforeMs = performance.now();

  /** The first answer has no rates: there is nothing to compare with. */
  return async () => {
    const nowMs = performance.now();
    const seconds = (nowMs - beforeMs) / 1000;
    const now = streams();
    const missing = missingTrades(openGaps());
    const counts = new Map(now.map((stream) => [keyOf(stream), count(stream)]));
    const shown = now.map((stream) => {
      const { channel, symbol, provenance, state, messages, silentMs } = stream;
      const key = keyOf(stream);
      const last = before?.get(key);
      return {
        channel,
        symbol,
        provenance,
        state,
        ...newest(channel, symbol),
        silentMs: messages > 0 ? silentMs : null,
        rowsPerSecond: last ? ((counts.get(key)?.rows ?? 0) - last.rows) / seconds : null,
        messagesPerSecond: last ? (messages - last.messages) / seconds : null,
        missing: channel === 'trades' ? (missing.get(symbol) ?? 0) : null,
      };
    });
    const stored = await storedRates();
    const rates = stored.tables.map(({ table, total, perSecond }) => ({
      table,
      total,
      perSecond: before ? perSecond : null,
    }));
    before = counts;
    beforeMs = nowMs;
    const { parts, ...summary } = health.status();
    return {
      ...summary,
      parts: withoutStreams(parts),
      stored: rates,
      waiting: stored.waiting,
      streams: shown,
    };
  };

  function count({ channel, symbol, messages }: StreamStatus): Counted {
    return { rows: market.rows(EVENT_OF[channel], symbol), messages };
  }

  /** The newest value of a stream, in the digits of the exchange, and how late it came. */
  function newest(channel: Channel, symbol: string) {
    switch (channel) {
      case 'trades': {
        const trade = market.lastTrade(symbol);
        return { price: trade?.price ?? null, lagMs: trade ? lagOf(trade) : null };
      }
      case 'candles': {
        const candle = market.lastCandle(symbol);
        return { price: candle?.close ?? null, lagMs: candle ? candleLagMs(candle) : null };
      }
      case 'order_book': {
        const book = market.book(symbol);
        return { price: book?.bids[0]?.[0] ?? null, lagMs: book ? lagOf(book) : null };
      }
    }
  }
}

function keyOf({ channel, symbol }: StreamStatus): string {
  return `${channel} ${symbol}`;
}

function lagOf({ time, receivedAt }: MarketEvent): number {
  return Math.round((receivedAt - time) / 1000);
}

function missingTrades(gaps: readonly OpenGap[]): Map<string, number> {
  const missing = new Map<string, number>();
  for (const { symbol, next, to } of gaps) {
    missing.set(symbol, (missing.get(symbol) ?? 0) + Number(to - next + 1n));
  }
  return missing;
}

/** They are shown with more than the health server knows. */
function withoutStreams(parts: Readonly<Record<string, Record<string, unknown>>>) {
  return Object.fromEntries(
    Object.entries(parts).map(([name, part]) => [name, { ...part, streams: undefined }]),
  );
}
