/**
 * One instance of ccxt, watching one channel from its making to its end.
 *
 * ccxt has no callbacks: each call resolves with the next news of a stream. What comes while nobody
 * waits stays in its cache until the next call, so nothing may be awaited between two of them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { CcxtInstance } from './ccxt-exchange.ts';
import type { Channel } from './events.ts';
import { silenceLimitMs, type WatchedStream } from './stream-watch.ts';
import type { CloseReason } from './ws-connection.ts';

export interface CcxtSessionOptions {
  readonly instance: CcxtInstance;
  readonly channel: Channel;
  /** By symbol. */
  readonly streams: ReadonlyMap<string, WatchedStream>;
  readonly staleAfterMs: Config['connection']['staleAfterMs'];
  /** Before the instance watches. */
  readonly prepare: () => Promise<void>;
  /**
   * An answer, of one symbol where it was asked for one. Called before the next question. Returns why
   * the instance is not to be trusted any more, if so.
   */
  readonly take: (answer: unknown, only: string | undefined) => string | undefined;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export interface CcxtSessionEnd {
  readonly reason: CloseReason;
  readonly detail: string;
}

/** Symbols of one call where ccxt takes several: what the most timid exchange takes in a request. */
const SYMBOLS_PER_CALL = 10;
const WATCH_INTERVAL_MS = 1_000;
const REFUSED_RETRY_MS = 60_000;
/** ccxt waits for its sockets to say goodbye. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Resolves when the instance has ended and is closed. Never rejects. */
export async function runCcxtSession(options: CcxtSessionOptions): Promise<CcxtSessionEnd> {
  const { instance, streams, signal } = options;
  const over = new AbortController();
  const ended = Promise.withResolvers<CcxtSessionEnd>();
  const end = (reason: CloseReason, detail: string) => {
    over.abort();
    ended.resolve({ reason, detail });
  };
  const stop = () => end('stopped', '');
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  let watching: NodeJS.Timeout | undefined;

  async function begin(): Promise<void> {
    try {
      await options.prepare();
    } catch (error) {
      end('socket_error', messageOf(error));
    }
    if (over.signal.aborted) return;
    const startedAtMs = performance.now();
    for (const stream of streams.values()) stream.silentSinceMs = startedAtMs;
    watching = setInterval(() => {
      const silent = silentStream(options, startedAtMs);
      if (silent) end('stale', `${silent.venueSymbol} fell silent`);
    }, WATCH_INTERVAL_MS);
    for (const call of callsOf(options)) void follow(call, options, over.signal, end);
  }

  void begin();
  const result = await ended.promise;
  clearInterval(watching);
  signal.removeEventListener('abort', stop);
  await Promise.race([instance.close().catch(() => undefined), sleep(CLOSE_TIMEOUT_MS)]);
  return result;
}

interface Call {
  readonly only: string | undefined;
  readonly watch: () => Promise<unknown>;
}

function callsOf({ instance, channel, streams }: CcxtSessionOptions): Call[] {
  const symbols = [...streams.keys()];
  const { one, several } = methodsOf(instance, channel);
  if (!several || symbols.length === 1) {
    return symbols.map((symbol) => ({ only: symbol, watch: () => one(symbol) }));
  }
  const parts = Array.from({ length: Math.ceil(symbols.length / SYMBOLS_PER_CALL) }, (_, i) =>
    symbols.slice(i * SYMBOLS_PER_CALL, (i + 1) * SYMBOLS_PER_CALL),
  );
  return parts.map((part) => ({ only: undefined, watch: () => several(part) }));
}

interface Methods {
  readonly one: (symbol: string) => Promise<unknown>;
  readonly several: false | ((symbols: readonly string[]) => Promise<unknown>);
}

function methodsOf(instance: CcxtInstance, channel: Channel): Methods {
  const { has } = instance;
  switch (channel) {
    case 'trades':
      return {
        one: (symbol) => instance.watchTrades(symbol),
        several:
          has['watchTradesForSymbols'] === true && ((s) => instance.watchTradesForSymbols(s)),
      };
    case 'order_book':
      return {
        one: (symbol) => instance.watchOrderBook(symbol),
        several:
          has['watchOrderBookForSymbols'] === true && ((s) => instance.watchOrderBookForSymbols(s)),
      };
    case 'candles':
      return {
        one: (symbol) => instance.watchOHLCV(symbol, '1m'),
        several:
          has['watchOHLCVForSymbols'] === true &&
          ((s) => instance.watchOHLCVForSymbols(s.map((symbol) => [symbol, '1m']))),
      };
  }
}

/** Asks for ever, until the session is over. Never rejects. */
async function follow(
  { only, watch }: Call,
  { take, logger, channel }: CcxtSessionOptions,
  over: AbortSignal,
  end: (reason: CloseReason, detail: string) => void,
): Promise<void> {
  while (!over.aborted) {
    try {
      const answer = await watch();
      if (over.aborted) return;
      const distrust = take(answer, only);
      if (distrust !== undefined) end('stale', distrust);
    } catch (error) {
      if (over.aborted) return;
      if (!isRefusal(error)) {
        end('closed_by_exchange', messageOf(error));
        return;
      }
      // The others go on; this one shows as silent.
      logger.error({ err: error, channel, symbol: only }, 'ccxt refuses a stream');
      await sleep(REFUSED_RETRY_MS, undefined, { signal: over }).catch(() => undefined);
    }
  }
}

/** By the names of ccxt's classes of errors, which are in the prototypes: it is not imported here. */
function isRefusal(error: unknown): boolean {
  let prototype: unknown = error;
  while (prototype instanceof Object) {
    if (prototype.constructor.name === 'OperationFailed') return false;
    if (prototype.constructor.name === 'ExchangeError') return true;
    prototype = Object.getPrototypeOf(prototype);
  }
  return false;
}

/** The longer a stream is silent, the less often is that a reason to begin anew. */
function silentStream(
  { streams, staleAfterMs }: CcxtSessionOptions,
  startedAtMs: number,
): WatchedStream | undefined {
  const nowMs = performance.now();
  return [...streams.values()].find(
    (stream) =>
      nowMs - stream.silentSinceMs > silenceLimitMs(stream, staleAfterMs) &&
      nowMs - startedAtMs > (nowMs - stream.lastAtMs) / 2,
  );
}
