/**
 * An adapter, running: its streams sharded over connections, each kept up for ever.
 *
 * A connection that ends is dialed again after a jittered delay, which doubles and falls back to the
 * minimum only after a connection was well for a while. A connection that is about to end (age,
 * shutdown notice, stale stream) is replaced before it is closed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import PQueue from 'p-queue';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { withPath } from '../transport.ts';
import type { DecodedCandle, Endpoint, StreamKey, WsAdapter } from './adapter.ts';
import type { Instrument, Micros } from './events.ts';
import { createLiveCandles, type LiveCandles } from './live-candles.ts';
import type { Rest } from './rest.ts';
import type { MarketSource, Plan, SourceEvent, SourceStatus } from './source.ts';
import { silenceLimitMs, watchStream, type WatchedStream } from './stream-watch.ts';
import type { CloseReason } from './ws-connection.ts';
import { type Session, startSession } from './ws-session.ts';

export interface WsSourceOptions {
  readonly adapter: WsAdapter;
  readonly rest: Rest;
  readonly config: Pick<Config, 'connection' | 'orderBook' | 'candles'>;
  /** Wall clock. */
  readonly now: () => Micros;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Sees each connection as it is dialed, and each frame; for recordings. */
  readonly tap?: ((seen: Tapped) => void) | undefined;
}

export interface Tapped {
  readonly direction: 'open' | 'in' | 'out';
  /** Empty when a connection is dialed. */
  readonly frame: string;
  readonly url: string;
  /** Counts up from 1. */
  readonly connection: number;
}

const BOOKS_TIMEOUT_MS = 30_000;
const BOOKS_POLL_MS = 50;

/** Streams that share a connection, and the session that speaks for them now. */
interface Shard {
  readonly url: string;
  readonly streams: readonly WatchedStream[];
  session: Session | undefined;
}

export function createWsSource(options: WsSourceOptions): MarketSource {
  const { adapter, config, logger, metrics } = options;
  const { reconnect } = config.connection;
  const dialing = new PQueue({
    interval: 300_000,
    intervalCap: adapter.limits.connectionsPer5Minutes,
  });
  let shards: Shard[] = [];
  let connections = 0;
  let instruments: ReadonlyMap<string, Instrument> = new Map();
  /** One for all connections: candles outlive them. */
  let candles: LiveCandles | undefined;
  /** By earlier runs, of each symbol; it may be known before this one begins. */
  const stored = new Map<string, Micros>();
  /** What candles are made of. */
  const candleStream = adapter.candleClose === 'trades' ? 'trades' : 'candles';

  async function run(
    plan: Plan,
    emit: (event: SourceEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    instruments = new Map(plan.instruments.map((known) => [known.venueSymbol, known]));
    shards = shardsOf(plan);
    if (plan.channels.includes('candles')) candles = liveCandles(emit);
    for (const [symbol, time] of stored) candlesStored(symbol, time);
    const pass = (event: SourceEvent) => {
      // Trades may be subscribed only for the candles that are made of them.
      if (event.type !== 'trade' || plan.channels.includes('trades')) emit(event);
    };
    await Promise.all([
      ...shards.map((shard) => keepUp(shard, pass, signal)),
      candles?.run([...instruments.keys()], signal),
    ]);
  }

  function candlesStored(symbol: string, time: Micros): void {
    stored.set(symbol, time);
    for (const instrument of instruments.values()) {
      if (instrument.symbol === symbol) candles?.storedUntil(instrument.venueSymbol, time);
    }
  }

  function liveCandles(emit: (event: SourceEvent) => void): LiveCandles {
    const { graceMs } = config.candles;
    return createLiveCandles({ ...options, graceMs, emit: (candle) => emitCandle(candle, emit) });
  }

  function emitCandle(candle: DecodedCandle, emit: (event: SourceEvent) => void): void {
    const symbol = instruments.get(candle.venueSymbol)?.symbol;
    if (symbol === undefined) return;
    const { time, open, high, low, close, volume, trades } = candle;
    const stamp = { exchange: adapter.id, symbol, time, receivedAt: options.now() };
    emit({ type: 'candle', ...stamp, open, high, low, close, volume, trades });
  }

  function shardsOf(plan: Plan): Shard[] {
    const offered = plan.channels.filter((channel) => channel in adapter.channels);
    const channels = new Set(
      offered.map((channel) => (channel === 'candles' ? candleStream : channel)),
    );
    const streams = plan.instruments.flatMap(({ venueSymbol }) =>
      [...channels].map((channel): StreamKey => ({ channel, venueSymbol })),
    );
    const base = config.connection.wsUrl ?? adapter.urls.ws;
    const size = adapter.limits.streamsPerConnection;
    return adapter.endpoints(streams).flatMap((endpoint: Endpoint) =>
      Array.from({ length: Math.ceil(endpoint.streams.length / size) }, (_, i) => ({
        url: withPath(base, endpoint.path),
        streams: endpoint.streams
          .slice(i * size, (i + 1) * size)
          .map((stream) => watchStream(stream, performance.now())),
        session: undefined,
      })),
    );
  }

  async function keepUp(
    shard: Shard,
    emit: (event: SourceEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const session = await dial(shard, emit, signal);
      if (!session) break;
      session.promote();
      shard.session = session;
      // A connection that was never acknowledged was never well, however long it took to find out.
      let liveAtMs = Infinity;
      void session.live.then((live) => live && (liveAtMs = performance.now()));
      void session.live.then((live) => live && resumed(shard, emit));
      const last = await replaceUntilEnd(shard, emit, signal);
      const { reason, detail } = await last.ended;
      shard.session = undefined;
      if (signal.aborted) break;
      interrupted(shard, emit);
      metrics.wsReconnects.inc({ reason });
      if (performance.now() - liveAtMs > reconnect.healthyAfterMs) failures = 0;
      const delayMs = jittered(
        Math.min(reconnect.minDelayMs * 2 ** failures++, reconnect.maxDelayMs),
      );
      logger.warn({ reason, detail, delayMs, url: shard.url }, 'connection ended, dialing again');
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }

  function interrupted(shard: Shard, emit: (event: SourceEvent) => void): void {
    for (const { channel, venueSymbol, messages, lastAtMs } of shard.streams) {
      if (channel === candleStream) candles?.interrupted(venueSymbol);
      const symbol = instruments.get(venueSymbol)?.symbol;
      if (symbol === undefined || messages === 0) continue;
      const since = options.now() - Math.round((performance.now() - lastAtMs) * 1000);
      emit({ type: 'interrupted', channel, symbol, since });
    }
  }

  function resumed(shard: Shard, emit: (event: SourceEvent) => void): void {
    for (const { channel, venueSymbol } of shard.streams) {
      const symbol = instruments.get(venueSymbol)?.symbol;
      if (channel === 'trades' && symbol !== undefined) emit({ type: 'trades_resumed', symbol });
    }
  }

  /** Replaces the shard's session whenever it is outdated; resolves with the one that ended. */
  async function replaceUntilEnd(
    shard: Shard,
    emit: (event: SourceEvent) => void,
    signal: AbortSignal,
  ): Promise<Session> {
    for (let session = shard.session as Session; ;) {
      const young = new AbortController();
      const reason = await Promise.race([
        session.ended.then(() => undefined),
        session.outdated,
        old(young.signal),
      ]);
      young.abort();
      const next = reason && (await successor(session, shard, emit, signal));
      if (!reason || !next) return session;
      next.promote();
      shard.session = next;
      resumed(shard, emit);
      session.retire(reason);
      metrics.wsReconnects.inc({ reason });
      logger.info({ reason, url: shard.url }, 'connection replaced');
      session = next;
    }
  }

  /** A live session to take over; undefined if the old one ended before there was one. */
  async function successor(
    session: Session,
    shard: Shard,
    emit: (event: SourceEvent) => void,
    signal: AbortSignal,
  ): Promise<Session | undefined> {
    let over = false;
    const ended = session.ended.then(() => (over = true));
    while (!over && !signal.aborted) {
      const next = await dial(shard, emit, signal);
      if (next && (await next.live)) {
        // No book goes off the air: their snapshots may take their turn in the rate budget.
        const until = performance.now() + BOOKS_TIMEOUT_MS;
        const isBehind = () => next.orderBooksInSync() < session.orderBooksInSync();
        while (!over && next.isLive() && isBehind() && performance.now() < until) {
          await sleep(BOOKS_POLL_MS);
        }
        if (next.isLive()) return next;
      }
      // The old one serves as long as it lasts.
      await Promise.race([
        ended,
        sleep(jittered(reconnect.maxDelayMs), undefined, { signal }),
      ]).catch(() => undefined);
    }
    return undefined;
  }

  async function dial(
    shard: Shard,
    emit: (event: SourceEvent) => void,
    signal: AbortSignal,
  ): Promise<Session | undefined> {
    const session = await dialing.add(() => start(shard, emit), { signal }).catch(() => undefined);
    if (!session) return undefined;
    const stop = () => session.close('stopped');
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    void session.ended.then(() => signal.removeEventListener('abort', stop));
    return session;
  }

  function start({ url, streams }: Shard, emit: (event: SourceEvent) => void): Session {
    const connection = ++connections;
    const { tap } = options;
    tap?.({ direction: 'open', frame: '', url, connection });
    return startSession({
      ...options,
      url,
      streams,
      instruments,
      emit,
      candles,
      tap: tap && ((direction, frame) => tap({ direction, frame, url, connection })),
    });
  }

  /** Resolves at the age at which a connection is replaced: not all of them at once. */
  async function old(signal: AbortSignal): Promise<CloseReason | undefined> {
    const maxAgeMs = Math.min(config.connection.maxAgeMs, adapter.limits.connectionMaxAgeMs);
    await sleep(maxAgeMs * (1 - Math.random() / 10), undefined, { signal }).catch(() => undefined);
    return signal.aborted ? undefined : 'rotated';
  }

  function status(): SourceStatus {
    const nowMs = performance.now();
    const live = shards.filter((shard) => shard.session?.isLive());
    return {
      connections: { open: live.length, wanted: shards.length },
      orderBooksInSync: live.reduce(
        (sum, shard) => sum + (shard.session?.orderBooksInSync() ?? 0),
        0,
      ),
      streams: shards.flatMap((shard) =>
        shard.streams.map((stream) => ({
          channel: stream.channel,
          symbol: instruments.get(stream.venueSymbol)?.symbol ?? stream.venueSymbol,
          provenance: adapter.channels[stream.channel] ?? 'none',
          state: !shard.session?.isLive()
            ? 'connecting'
            : nowMs - stream.silentSinceMs > silenceLimitMs(stream, config.connection.staleAfterMs)
              ? 'stale'
              : 'live',
          messages: stream.messages,
          silentMs: Math.round(nowMs - stream.lastAtMs),
        })),
      ),
    };
  }

  return { run, candlesStored, status };
}

function jittered(delayMs: number): number {
  return Math.round(delayMs * (0.5 + Math.random() / 2));
}
