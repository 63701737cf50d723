/**
 * One WebSocket: dial, heartbeat, watchdog, close. Knows no exchange.
 *
 *   dialing -> open -> closed (once, with a reason)
 */
import { WebSocket } from 'ws';
import { MIN_TLS_VERSION } from '../transport.ts';
import { takeTurn } from './event-loop-turn.ts';

/** A closed set: these are the labels of `ws_reconnects_total`. */
export type CloseReason =
  | 'closed_by_exchange'
  | 'socket_error'
  | 'frame_too_large'
  | 'silent'
  | 'not_acknowledged'
  | 'refused'
  | 'stale'
  | 'rotated'
  | 'server_shutdown'
  | 'stopped';

export interface ConnectionOptions {
  readonly url: string;
  readonly openTimeoutMs: number;
  /** No frame and no ping for this long: the socket counts as dead. */
  readonly silenceTimeoutMs: number;
  readonly messagesPerSecond: number;
  readonly maxPayloadBytes?: number | undefined;
  readonly perMessageDeflate?: boolean | undefined;
  readonly heartbeat?: { readonly everyMs: number; readonly text: string } | undefined;
  readonly onFrame: (frame: string) => void;
  readonly onSent?: ((frame: string) => void) | undefined;
}

export interface Connection {
  /** Queued, so that the exchange's message rate is kept. */
  send(frame: string): void;
  /** Ends the connection for a reason of ours, also while it is dialing. The first reason stands. */
  close(reason: CloseReason): void;
  /** True when the socket is open, false if it never was. Never rejects. */
  readonly opened: Promise<boolean>;
  /** Resolves once, when no frame comes any more. Never rejects. */
  readonly closed: Promise<{ readonly reason: CloseReason; readonly detail: string }>;
}

const CLOSE_GRACE_MS = 500;

export function openConnection(options: ConnectionOptions): Connection {
  const socket = new WebSocket(options.url, {
    handshakeTimeout: options.openTimeoutMs,
    maxPayload: options.maxPayloadBytes ?? 4 * 1024 * 1024,
    perMessageDeflate: options.perMessageDeflate ?? false,
    minVersion: MIN_TLS_VERSION,
    // Whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    rejectUnauthorized: true,
  });
  const opened = Promise.withResolvers<boolean>();
  const closed = Promise.withResolvers<{ reason: CloseReason; detail: string }>();
  const outgoing: string[] = [];
  let reason: CloseReason | undefined;
  let failure = '';
  let heardAt = performance.now();

  const heard = () => {
    heardAt = performance.now();
  };
  const timers = [
    setInterval(() => {
      const frame = outgoing[0];
      if (frame === undefined || socket.readyState !== WebSocket.OPEN) return;
      outgoing.shift();
      socket.send(frame);
      options.onSent?.(frame);
    }, 1000 / options.messagesPerSecond),
    setInterval(
      () => {
        if (performance.now() - heardAt > options.silenceTimeoutMs) close('silent');
      },
      Math.min(1000, options.silenceTimeoutMs / 4),
    ),
  ];
  if (options.heartbeat) {
    const { everyMs, text } = options.heartbeat;
    timers.push(setInterval(() => send(text), everyMs));
  }

  function send(frame: string): void {
    outgoing.push(frame);
  }

  function close(why: CloseReason): void {
    reason ??= why;
    if (why === 'silent') {
      // Nobody is there to answer a closing handshake.
      socket.terminate();
    } else {
      socket.close(1000);
      setTimeout(() => socket.terminate(), CLOSE_GRACE_MS).unref();
    }
  }

  socket.on('open', () => {
    heard();
    opened.resolve(true);
  });
  socket.on('message', (data: Buffer) => {
    heard();
    takeTurn(socket, heardAt);
    // After a close of ours the frames of the next connection count.
    if (reason === undefined) options.onFrame(data.toString('utf8'));
  });
  socket.on('ping', heard);
  socket.on('pong', heard);
  socket.on('error', (error: Error & { code?: string }) => {
    failure = error.message;
    reason ??=
      error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'frame_too_large' : 'socket_error';
  });
  socket.on('close', (code, text) => {
    for (const timer of timers) clearInterval(timer);
    opened.resolve(false);
    // No closing frame came: a reset, or a cable.
    if (code === 1006) reason ??= 'socket_error';
    const detail = failure || `${code} ${text.toString('utf8').slice(0, 100)}`.trim();
    closed.resolve({ reason: reason ?? 'closed_by_exchange', detail });
  });
  return { send, close, opened: opened.promise, closed: closed.promise };
}
