/**
 * One connection to an exchange, from dialing to its end: subscribe, await acknowledgements, decode,
 * stamp, keep the books.
 *
 *   dialing -> subscribing -> live -> ended
 *
 * A session starts muted: its books are kept but not published. `promote` makes it the one that
 * speaks; a session that takes over from another is promoted when it is live.
 */
import type { Config } from '../config.ts';
import { codeOf, DecodeError, messageOf } from '../errors.ts';
import { createRateLimitedLogger, type Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Decoded, WsAdapter } from './adapter.ts';
import type { Channel, Instrument, Micros } from './events.ts';
import type { LiveCandles } from './live-candles.ts';
import { createLiveBooks, type PublishedBook } from './live-books.ts';
import type { Rest } from './rest.ts';
import type { SourceEvent } from './source.ts';
import { noteData, silenceLimitMs, type WatchedStream } from './stream-watch.ts';
import { type CloseReason, openConnection } from './ws-connection.ts';

export interface SessionOptions {
  readonly adapter: WsAdapter;
  readonly url: string;
  /** Outlive the session: what was learned of their pauses goes on. */
  readonly streams: readonly WatchedStream[];
  readonly instruments: ReadonlyMap<string, Instrument>;
  readonly rest: Rest;
  readonly config: Pick<Config, 'connection' | 'orderBook'>;
  readonly emit: (event: SourceEvent) => void;
  /** Outlive the session; undefined where no candles are wanted. */
  readonly candles: LiveCandles | undefined;
  readonly now: () => Micros;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly tap?: ((direction: 'in' | 'out', frame: string) => void) | undefined;
}

export type Session = ReturnType<typeof startSession>;

const WATCH_INTERVAL_MS = 1_000;

export function startSession(options: SessionOptions) {
  const { adapter, instruments, config, emit, metrics, logger, tap } = options;
  const state = adapter.open({ bookDepth: config.orderBook.depth });
  const ended = new AbortController();
  const live = Promise.withResolvers<boolean>();
  /** Resolves when another connection should take over from this one, with the reason. */
  const outdated = Promise.withResolvers<CloseReason>();
  const limited = createRateLimitedLogger(logger);
  /** Awaited acknowledgements; true: of one stream of several in its frame. */
  const pendingAcks = new Map<string, boolean>();
  const streams = byVenueSymbol(options.streams);
  const traffic = { frames: 0, bytes: 0 };
  let promoted = false;
  /** Monotonic ms; undefined until every subscription is acknowledged. */
  let liveSinceMs: number | undefined;

  const books = createLiveBooks({
    ...options,
    depth: config.orderBook.depth,
    venueSymbols: [...streams].flatMap(([venueSymbol, of]) => (of.order_book ? venueSymbol : [])),
    publish: publishBook,
    lost: bookLost,
    resubscribe: resubscribeBook,
    signal: ended.signal,
  });

  const connection = openConnection({
    url: options.url,
    openTimeoutMs: config.connection.openTimeoutMs,
    silenceTimeoutMs: config.connection.silenceTimeoutMs,
    messagesPerSecond: adapter.limits.messagesPerSecond,
    maxPayloadBytes: adapter.transport?.maxPayloadBytes,
    perMessageDeflate: adapter.transport?.perMessageDeflate,
    heartbeat: adapter.heartbeat,
    onFrame: receive,
    onSent: tap && ((frame) => tap('out', frame)),
  });
  const watching = setInterval(watch, WATCH_INTERVAL_MS);

  async function run(): Promise<{ reason: CloseReason; detail: string }> {
    if (await connection.opened) {
      metrics.wsConnected.inc();
      subscribe();
      // One request may take its turn after all the others.
      const spreadMs = (pendingAcks.size * 1000) / adapter.limits.messagesPerSecond;
      const patience = setTimeout(() => {
        if (pendingAcks.size > 0) connection.close('not_acknowledged');
      }, config.connection.ackTimeoutMs + spreadMs);
      const end = await connection.closed;
      clearTimeout(patience);
      metrics.wsConnected.dec();
      finish();
      return end;
    }
    finish();
    return connection.closed;
  }

  function finish(): void {
    ended.abort();
    clearInterval(watching);
    countTraffic();
    live.resolve(false);
    for (const [venueSymbol, of] of streams) {
      if (of.order_book) bookLost(venueSymbol);
    }
  }

  function subscribe(): void {
    for (const frame of adapter.subscribe(options.streams, state)) {
      for (const id of frame.awaits) pendingAcks.set(id, frame.awaits.length > 1);
      connection.send(frame.text);
    }
  }

  function receive(frame: string): void {
    traffic.frames++;
    traffic.bytes += frame.length;
    tap?.('in', frame);
    const receivedAt = options.now();
    let decoded: readonly Decoded[];
    try {
      decoded = adapter.decode(frame, state);
    } catch (error) {
      untrusted(error, frame);
      return;
    }
    for (const item of decoded) handle(item, receivedAt);
  }

  function handle(item: Decoded, receivedAt: Micros): void {
    switch (item.kind) {
      case 'trade': {
        const instrument = seen(item.venueSymbol, 'trades');
        if (!instrument) return;
        const { tradeId, side, price, quantity, time } = item;
        const { symbol } = instrument;
        const exchange = adapter.id;
        options.candles?.trade(item, receivedAt);
        emit({ type: 'trade', exchange, symbol, time, receivedAt, tradeId, side, price, quantity });
        return;
      }
      case 'candle':
        if (seen(item.venueSymbol, 'candles')) options.candles?.candle(item);
        return;
      case 'book':
        if (seen(item.venueSymbol, 'order_book')) books.apply(item, receivedAt);
        return;
      case 'ack':
        pendingAcks.delete(item.id);
        if (pendingAcks.size === 0) acknowledged();
        return;
      case 'refused':
        refuse(item.id, item.reason);
        return;
      case 'reply':
        connection.send(item.text);
        return;
      case 'gap':
        books.lose(item.venueSymbol, item.reason, receivedAt);
        return;
      case 'reconnect':
        outdated.resolve('server_shutdown');
    }
  }

  /**
   * One stream of several is given up; it will show as silent. What was asked again on a live
   * connection disturbs no other stream either. Anything else ends the connection.
   */
  function refuse(id: string | null, reason: string): void {
    logger.error({ reason, request: id }, 'subscription refused');
    if (id === null || (liveSinceMs === undefined && !pendingAcks.get(id))) {
      connection.close('refused');
      return;
    }
    pendingAcks.delete(id);
    if (pendingAcks.size === 0) acknowledged();
  }

  function acknowledged(): void {
    if (liveSinceMs !== undefined) return;
    liveSinceMs = performance.now();
    // The time without a connection is no pause of the stream.
    for (const stream of options.streams) stream.silentSinceMs = liveSinceMs;
    live.resolve(true);
  }

  /** The instrument, if it is one of ours; its stream has shown life. */
  function seen(venueSymbol: string, channel: Channel): Instrument | undefined {
    const stream = streams.get(venueSymbol)?.[channel];
    if (!stream) return undefined;
    if (stream.remedy !== 'none') logger.info({ channel, venueSymbol }, 'stream is back');
    noteData(stream, performance.now());
    return instruments.get(venueSymbol);
  }

  function publishBook({ venueSymbol, ...book }: PublishedBook): void {
    const symbol = instruments.get(venueSymbol)?.symbol;
    if (!promoted || symbol === undefined) return;
    emit({ type: 'order_book', exchange: adapter.id, symbol, ...book });
  }

  function bookLost(venueSymbol: string): void {
    const symbol = instruments.get(venueSymbol)?.symbol;
    if (promoted && symbol !== undefined) emit({ type: 'order_book_lost', symbol });
  }

  function resubscribeBook(venueSymbol: string): void {
    const stream = [{ channel: 'order_book' as const, venueSymbol }];
    for (const text of adapter.unsubscribe?.(stream, state) ?? []) connection.send(text);
    for (const frame of adapter.subscribe(stream, state)) connection.send(frame.text);
  }

  function untrusted(error: unknown, frame: string): void {
    const code = error instanceof DecodeError ? error.code : 'unexpected';
    metrics.decodeErrors.inc({ code });
    limited.warn({ code, reason: messageOf(error), frame: frame.slice(0, 200) }, 'frame refused');
    if (codeOf(error) === undefined) limited.error({ err: error }, 'decoder failed');
  }

  /** Each second: counts, and looks for streams that fell silent. */
  function watch(): void {
    countTraffic();
    if (liveSinceMs === undefined) return;
    const nowMs = performance.now();
    const resubscribe: WatchedStream[] = [];
    let newestMs = -Infinity;
    let silent = 0;
    for (const stream of options.streams) {
      newestMs = Math.max(newestMs, stream.lastAtMs);
      const limitMs = silenceLimitMs(stream, config.connection.staleAfterMs);
      const silentMs = nowMs - stream.silentSinceMs;
      if (silentMs <= limitMs) continue;
      silent++;
      if (stream.remedy === 'none') {
        stream.remedy = 'resubscribed';
        resubscribe.push(stream);
      } else if (stream.remedy === 'resubscribed' && silentMs > 2 * limitMs) {
        stream.remedy = 'replaced';
        outdated.resolve('stale');
      }
    }
    if (resubscribe.length > 0) {
      const names = resubscribe.slice(0, 20).map((s) => `${s.venueSymbol} ${s.channel}`);
      logger.warn({ streams: names, count: resubscribe.length }, 'streams fell silent');
    }
    if (silent < options.streams.length) {
      // Subscribing twice is harmless, and heals a subscription that the exchange forgot.
      for (const frame of adapter.subscribe(resubscribe, state)) connection.send(frame.text);
    } else if (nowMs - liveSinceMs > (nowMs - newestMs) / 2) {
      // All silent: the socket is the culprit, or the exchange. The longer, the less often.
      connection.close('stale');
    }
  }

  function countTraffic(): void {
    metrics.wsFrames.inc(traffic.frames);
    metrics.wsBytes.inc(traffic.bytes);
    traffic.frames = 0;
    traffic.bytes = 0;
  }

  return {
    /** True when every subscription is acknowledged, false if the session ended before. */
    live: live.promise,
    outdated: outdated.promise,
    ended: run(),
    promote: () => {
      promoted = true;
    },
    close: (reason: CloseReason) => connection.close(reason),
    /** Another session speaks from now on: the end of this one says nothing of the books. */
    retire: (reason: CloseReason) => {
      promoted = false;
      connection.close(reason);
    },
    orderBooksInSync: () => books.countInSync(),
    isLive: () => liveSinceMs !== undefined && !ended.signal.aborted,
  };
}

function byVenueSymbol(streams: readonly WatchedStream[]) {
  const map = new Map<string, Partial<Record<Channel, WatchedStream>>>();
  for (const stream of streams) {
    const known = map.get(stream.venueSymbol) ?? {};
    known[stream.channel] = stream;
    map.set(stream.venueSymbol, known);
  }
  return map;
}
