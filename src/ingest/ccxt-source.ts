/**
 * Any of ccxt.pro's exchanges, running. Each channel has an instance of ccxt and so its own sockets:
 *
 *   watching --socket failed, stream silent, book crossed--> ended --jittered delay--> watching
 *
 * An instance that ended is never used again: its caches, and what it believes to have subscribed, are
 * not to be trusted after a failure. Trades that an exchange repeats to the next instance are known
 * by their ids; those that it made meanwhile are not fetched. The books' instance makes floats of
 * numbers, because ccxt computes with their prices; the others keep the texts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { DecodeError, messageOf } from '../errors.ts';
import { createRateLimitedLogger, type Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { DecodedCandle, DecodedTrade } from './adapter.ts';
import { bookOf, candleOf, tradeIdOf, tradeOf } from './ccxt-decode.ts';
import type { CcxtExchange, CcxtInstance } from './ccxt-exchange.ts';
import type { CcxtRest } from './ccxt-rest.ts';
import { runCcxtSession } from './ccxt-session.ts';
import type { Channel, Micros } from './events.ts';
import { createLiveCandles, type LiveCandles } from './live-candles.ts';
import { createRecentIds } from './recent-ids.ts';
import type { MarketSource, Plan, SourceEvent, SourceStatus } from './source.ts';
import { noteData, silenceLimitMs, watchStream, type WatchedStream } from './stream-watch.ts';
import { array, object } from './wire.ts';

export interface CcxtSourceOptions {
  readonly exchange: CcxtExchange;
  readonly rest: CcxtRest;
  readonly config: Pick<Config, 'connection' | 'orderBook' | 'candles'>;
  /** Wall clock. */
  readonly now: () => Micros;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

const TICK_MS = 1_000;
/** Ids by which a repeated trade is known, of each symbol: twice what ccxt itself remembers. */
const RECENT_TRADES = 2_000;

/** The streams of one channel, and the instance that watches them now. */
interface Group {
  readonly channel: Channel;
  /** By symbol. */
  readonly streams: ReadonlyMap<string, WatchedStream>;
  instance: CcxtInstance | undefined;
}

export function createCcxtSource(options: CcxtSourceOptions): MarketSource {
  const { exchange, rest, config, now, metrics, logger } = options;
  const { reconnect, staleAfterMs, wsUrl, restUrl } = config.connection;
  const limited = createRateLimitedLogger(logger);
  const recent = createRecentIds(RECENT_TRADES);
  const booksInSync = new Set<string>();
  let groups: Group[] = [];
  let candles: LiveCandles | undefined;
  /** By earlier runs, of each symbol; it may be known before this one begins. */
  const stored = new Map<string, Micros>();
  let emit: (event: SourceEvent) => void = () => undefined;

  async function run(plan: Plan, sink: typeof emit, signal: AbortSignal): Promise<void> {
    emit = sink;
    const symbols = plan.instruments.map(({ symbol }) => symbol);
    const nowMs = performance.now();
    groups = plan.channels.map((channel) => ({
      channel,
      streams: new Map(symbols.map((s) => [s, watchStream({ channel, venueSymbol: s }, nowMs)])),
      instance: undefined,
    }));
    if (plan.channels.includes('candles')) {
      const { graceMs } = config.candles;
      candles = createLiveCandles({ ...rest, graceMs, emit: emitCandle, now, logger });
      for (const [symbol, time] of stored) candles.storedUntil(symbol, time);
    }
    const ticking = setInterval(tick, TICK_MS);
    await Promise.all([
      ...groups.map((group) => keepUp(group, signal)),
      candles?.run(symbols, signal),
    ]);
    clearInterval(ticking);
    tick();
  }

  async function keepUp(group: Group, signal: AbortSignal): Promise<void> {
    const { channel, streams } = group;
    for (let failures = 0; !signal.aborted;) {
      const startedAtMs = performance.now();
      // ccxt's order books compare prices as numbers.
      const number = channel === 'order_book' ? Number : String;
      const instance = exchange.create({ number, wsUrl, restUrl });
      group.instance = instance;
      const { reason, detail } = await runCcxtSession({
        instance,
        channel,
        streams,
        staleAfterMs,
        prepare: () => rest.shareMarkets(instance),
        take: (answer, only) => take(group, answer, only),
        logger,
        signal,
      });
      sweep(group);
      group.instance = undefined;
      lost(group);
      if (signal.aborted) return;
      metrics.wsReconnects.inc({ reason });
      if (performance.now() - startedAtMs > reconnect.healthyAfterMs) failures = 0;
      const longestMs = Math.min(reconnect.minDelayMs * 2 ** failures++, reconnect.maxDelayMs);
      const delayMs = Math.round(longestMs * (0.5 + Math.random() / 2));
      logger.warn({ channel, reason, detail, delayMs }, 'ccxt instance ended, starting another');
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }

  function lost({ channel, streams }: Group): void {
    for (const [symbol, { messages, lastAtMs }] of streams) {
      const since = now() - Math.round((performance.now() - lastAtMs) * 1000);
      if (messages > 0) emit({ type: 'interrupted', channel, symbol, since });
      if (channel === 'candles') candles?.interrupted(symbol);
      if (booksInSync.delete(symbol)) emit({ type: 'order_book_lost', symbol });
    }
  }

  function take(group: Group, answer: unknown, only: string | undefined): string | undefined {
    const receivedAt = now();
    switch (group.channel) {
      case 'trades': {
        const nth = createCounter();
        each(answer, (row) => takeTrade(group, tradeOf(row, only, nth), receivedAt));
        return undefined;
      }
      case 'candles': {
        const bySymbol =
          only === undefined ? object(answer, 'candles') : { [only]: { '1m': answer } };
        for (const [symbol, byTimeframe] of Object.entries(bySymbol)) {
          each(object(byTimeframe, 'candles')['1m'], (row) => {
            if (seen(group, symbol)) candles?.candle(candleOf(row, symbol));
          });
        }
        return undefined;
      }
      case 'order_book':
        return trusted(() => takeBook(group, answer, only, receivedAt));
    }
  }

  function takeTrade(group: Group, trade: DecodedTrade, receivedAt: Micros): void {
    const { venueSymbol: symbol, time, tradeId, side, price, quantity } = trade;
    if (!seen(group, symbol) || recent.has(symbol, tradeId)) return;
    recent.add(symbol, tradeId);
    candles?.trade(trade, receivedAt);
    const stamp = { exchange: exchange.id, symbol, time, receivedAt };
    emit({ type: 'trade', ...stamp, tradeId, side, price, quantity });
  }

  /** Returns what is wrong with the book, if anything. */
  function takeBook(
    group: Group,
    answer: unknown,
    only: string | undefined,
    receivedAt: Micros,
  ): string | undefined {
    const { symbol, time, bids, asks, crossed } = bookOf(answer, only, config.orderBook.depth);
    if (!seen(group, symbol) || bids.length + asks.length === 0) return undefined;
    if (crossed) {
      metrics.orderBookResyncs.inc({ reason: 'crossed' });
      return `order book of ${symbol} crossed`;
    }
    booksInSync.add(symbol);
    const stamp = { exchange: exchange.id, symbol, time: time ?? receivedAt, receivedAt };
    emit({ type: 'order_book', ...stamp, bids, asks });
    return undefined;
  }

  function emitCandle(candle: DecodedCandle): void {
    const { venueSymbol: symbol, time, open, high, low, close, volume, trades } = candle;
    const stamp = { exchange: exchange.id, symbol, time, receivedAt: now() };
    emit({ type: 'candle', ...stamp, open, high, low, close, volume, trades });
  }

  /** Whether the symbol is one of ours; its stream has shown life. */
  function seen({ streams }: Group, symbol: string): boolean {
    const stream = streams.get(symbol);
    if (stream) noteData(stream, performance.now());
    return stream !== undefined;
  }

  /** A row that cannot be trusted takes no other with it. */
  function each(rows: unknown, use: (row: unknown) => void): void {
    for (const row of trusted(() => array(rows, 'answer')) ?? []) trusted(() => use(row));
  }

  function trusted<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const { code } = error;
      metrics.decodeErrors.inc({ code });
      limited.warn({ code, reason: messageOf(error) }, 'answer of ccxt refused');
      return undefined;
    }
  }

  function isConnected({ instance }: Group): boolean {
    return Object.values(instance?.clients ?? {}).some((client) => client.isConnected);
  }

  /**
   * Trades that came while a call was being answered with another symbol's: ccxt has them in its cache
   * and would tell with the next of theirs. Not of exchanges without ids, where they could not be told
   * from those that were taken.
   */
  function sweep(group: Group): void {
    const { channel, instance, streams } = group;
    if (channel !== 'trades') return;
    for (const symbol of streams.keys()) {
      each(instance?.trades?.[symbol] ?? [], (row) => {
        const id = tradeIdOf(row);
        if (id === undefined || recent.has(symbol, id)) return;
        takeTrade(
          group,
          tradeOf(row, symbol, () => 0),
          now(),
        );
      });
    }
  }

  function tick(): void {
    for (const group of groups) sweep(group);
    const clients = groups.flatMap(({ instance }) => Object.values(instance?.clients ?? {}));
    metrics.wsConnected.set(clients.filter((client) => client.isConnected).length);
  }

  function status(): SourceStatus {
    const nowMs = performance.now();
    return {
      connections: { open: groups.filter(isConnected).length, wanted: groups.length },
      orderBooksInSync: booksInSync.size,
      streams: groups.flatMap((group) =>
        [...group.streams].map(([symbol, stream]) => ({
          channel: group.channel,
          symbol,
          provenance: 'ccxt' as const,
          state: !isConnected(group)
            ? ('connecting' as const)
            : nowMs - stream.silentSinceMs > silenceLimitMs(stream, staleAfterMs)
              ? ('stale' as const)
              : ('live' as const),
          messages: stream.messages,
          silentMs: Math.round(nowMs - stream.lastAtMs),
        })),
      ),
    };
  }

  function candlesStored(symbol: string, time: Micros): void {
    stored.set(symbol, time);
    candles?.storedUntil(symbol, time);
  }

  return { run, candlesStored, status };
}

/** How often each key was counted before. */
function createCounter(): (key: string) => number {
  const counts = new Map<string, number>();
  return (key) => {
    const count = counts.get(key) ?? 0;
    counts.set(key, count + 1);
    return count;
  };
}
