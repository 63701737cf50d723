/**
 * Server-sent events to few browsers. A message is a whole state, so one that a slow browser misses
 * is made up for by the next: nothing is written while something waits, and whoever takes nothing for
 * ten seconds is cut off. No timer runs while nobody watches.
 */
import type { ServerResponse } from 'node:http';

export interface Message {
  readonly event: string;
  /** Sent again only when it is another one. */
  readonly version: number;
  readonly text: () => string;
}

export interface SubscribersOptions {
  readonly limit: number;
  readonly tickMs: number;
  readonly stuckAfterMs: number;
  /** What there is to tell about a symbol. */
  readonly messages: (symbol: string) => readonly Message[];
  readonly onFirst: () => void;
  readonly onLast: () => void;
}

interface Subscriber {
  readonly symbol: string;
  readonly response: ServerResponse;
  /** Versions, by event. */
  readonly sent: Map<string, number>;
  /** Since when it has taken nothing. */
  stuckAtMs: number | undefined;
}

export function createSubscribers(options: SubscribersOptions) {
  const { limit, tickMs, stuckAfterMs, messages, onFirst, onLast } = options;
  const subscribers = new Set<Subscriber>();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  function tick(): void {
    for (const subscriber of subscribers) serve(subscriber);
  }

  function serve(subscriber: Subscriber): void {
    const { symbol, response, sent } = subscriber;
    if (response.writableLength > 0) {
      const nowMs = performance.now();
      subscriber.stuckAtMs ??= nowMs;
      if (nowMs - subscriber.stuckAtMs > stuckAfterMs) response.destroy();
      return;
    }
    subscriber.stuckAtMs = undefined;
    for (const { event, version, text } of messages(symbol)) {
      if (sent.get(event) === version) continue;
      sent.set(event, version);
      response.write(`event: ${event}\ndata: ${text()}\n\n`);
    }
  }

  function remove(subscriber: Subscriber): void {
    if (!subscribers.delete(subscriber) || subscribers.size > 0) return;
    clearInterval(timer);
    onLast();
  }

  return {
    hasRoom: (): boolean => !isClosed && subscribers.size < limit,
    /** `response` has its head already; from here on it is ours. */
    add(symbol: string, response: ServerResponse): void {
      const subscriber: Subscriber = { symbol, response, sent: new Map(), stuckAtMs: undefined };
      subscribers.add(subscriber);
      response.once('close', () => remove(subscriber));
      if (subscribers.size === 1) {
        onFirst();
        timer = setInterval(tick, tickMs);
      }
      response.write('retry: 2000\n\n');
      serve(subscriber);
    },
    /** Ends all at once, and takes nobody any more. */
    close(): void {
      isClosed = true;
      for (const { response } of subscribers) {
        if (response.writableLength > 0) response.destroy();
        else response.end();
      }
    },
  };
}
