/**
 * One client on the simulated exchange: what it subscribed to, its limits, its frames.
 *
 * Frames of one turn of the event loop leave in one write: the socket is corked until the turn ends,
 * which is what makes tens of thousands of frames a second affordable.
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import {
  errorText,
  MAX_STREAMS,
  parseStreamRequest,
  resultText,
  type StreamRequest,
} from './stream-request.ts';

/** Control frames count as well; one more within a second ends the connection. */
const MAX_MESSAGES_PER_SECOND = 5;

export type StreamConnection = ReturnType<typeof createStreamConnection>;

export interface StreamConnectionOptions {
  readonly webSocket: WebSocket;
  readonly socket: Socket;
  /** Frames name their stream: `/stream`, not `/ws`. */
  readonly combined: boolean;
  readonly maxBufferedBytes: number;
  /** While it says true nothing is answered, not even a ping. */
  readonly stalled: () => boolean;
  readonly onChange: (change: 'added' | 'removed', stream: string) => void;
}

export function createStreamConnection(options: StreamConnectionOptions) {
  const { webSocket, socket, onChange } = options;
  const streams = new Set<string>();
  const openedAt = performance.now();
  const recent: number[] = [];
  let corked = false;
  let unansweredPings = 0;

  const close = (code: number, reason: string) => webSocket.close(code, reason);
  const reset = () => socket.resetAndDestroy();

  const send = (data: Buffer | string) => {
    if (!corked) {
      corked = true;
      socket.cork();
      queueMicrotask(() => {
        corked = false;
        socket.uncork();
        // A consumer that cannot keep up is disconnected, as on the exchange.
        if (webSocket.bufferedAmount > options.maxBufferedBytes) reset();
      });
    }
    webSocket.send(data, { binary: false });
  };

  const subscribe = (names: readonly string[]): boolean => {
    if (new Set([...streams, ...names]).size > MAX_STREAMS) return false;
    for (const name of names) {
      if (streams.has(name)) continue;
      streams.add(name);
      onChange('added', name);
    }
    return true;
  };
  const unsubscribe = (names: Iterable<string>) => {
    for (const name of names) if (streams.delete(name)) onChange('removed', name);
  };

  const withinLimit = (): boolean => {
    const now = performance.now();
    recent.push(now);
    while ((recent[0] ?? now) <= now - 1000) recent.shift();
    if (recent.length <= MAX_MESSAGES_PER_SECOND) return true;
    close(1008, 'Too many requests');
    return false;
  };

  const answer = (request: StreamRequest): string => {
    switch (request.kind) {
      case 'invalid':
        return request.answer;
      case 'list':
        return resultText([...streams], request.id);
      case 'unsubscribe':
        unsubscribe(request.streams);
        return resultText(null, request.id);
      case 'subscribe':
        return subscribe(request.streams)
          ? resultText(null, request.id)
          : errorText(2, 'Invalid request: too many parameters', request.id);
    }
  };

  webSocket.on('message', (data, isBinary) => {
    if (!withinLimit() || options.stalled()) return;
    // The default binaryType makes every message one Buffer.
    send(answer(parseStreamRequest(isBinary ? '' : (data as Buffer).toString())));
  });
  webSocket.on('ping', (data) => {
    if (withinLimit() && !options.stalled()) webSocket.pong(data);
  });
  webSocket.on('pong', () => {
    // Asked for, it is free; a client may not keep itself alive with pongs alone.
    if (unansweredPings > 0) unansweredPings = 0;
    else withinLimit();
  });
  // `close` follows, and says all there is to say about a broken client.
  webSocket.on('error', () => undefined);
  webSocket.on('close', () => unsubscribe(streams));

  return {
    combined: options.combined,
    streams: streams as ReadonlySet<string>,
    ageMs: () => performance.now() - openedAt,
    bufferedBytes: () => webSocket.bufferedAmount,
    unansweredPings: () => unansweredPings,
    subscribe,
    send,
    ping(): void {
      unansweredPings += 1;
      webSocket.ping(String(Date.now()));
    },
    close,
    /** A reset (RST): the client sees no closing handshake. */
    reset,
  };
}
