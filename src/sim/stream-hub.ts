/** All clients of the simulated exchange: who listens to what, and the faults that tests inject. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { createStreamConnection, type StreamConnection } from './stream-connection.ts';

export interface StreamHubOptions {
  readonly pingIntervalMs: number;
  /** The exchange cuts every connection at this age. */
  readonly maxConnectionAgeMs: number;
  readonly maxBufferedBytes: number;
}

export type StreamHub = ReturnType<typeof createStreamHub>;

/** A connection that left this many pings in a row unanswered is dead. */
const MAX_UNANSWERED_PINGS = 3;

export function createStreamHub(options: StreamHubOptions) {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 64 * 1024,
    autoPong: false,
  });
  const connections = new Set<StreamConnection>();
  const listeners = new Map<string, Set<StreamConnection>>();
  const paused = new Set<string>();
  const counters = { accepted: 0, closed: 0, frames: 0 };
  let stalled = false;

  const listen = (connection: StreamConnection, change: 'added' | 'removed', stream: string) => {
    const set = listeners.get(stream) ?? new Set();
    if (change === 'added') set.add(connection);
    else set.delete(connection);
    if (set.size > 0) listeners.set(stream, set);
    else listeners.delete(stream);
  };

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const target = streamsOf(request.url ?? '/');
    if (target === null) {
      // Whether the refusal arrives is no longer our concern, but it must not end the process.
      socket.on('error', () => undefined);
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    server.handleUpgrade(request, socket, head, (webSocket) => {
      const connection = createStreamConnection({
        webSocket,
        // node:http hands out the net.Socket it accepted, whatever its type says.
        socket: socket as Socket,
        combined: target.combined,
        maxBufferedBytes: options.maxBufferedBytes,
        stalled: () => stalled,
        onChange: (change, stream) => listen(connection, change, stream),
      });
      connections.add(connection);
      counters.accepted += 1;
      webSocket.once('close', () => {
        connections.delete(connection);
        counters.closed += 1;
      });
      if (!connection.subscribe(target.streams)) connection.close(1008, 'Too many streams');
    });
  };

  const sweep = setInterval(() => {
    for (const connection of connections) {
      if (connection.ageMs() > options.maxConnectionAgeMs) connection.close(1001, 'Too old');
      else if (connection.unansweredPings() >= MAX_UNANSWERED_PINGS) connection.reset();
      else if (!stalled) connection.ping();
    }
  }, options.pingIntervalMs);

  return {
    upgrade,
    counters: counters as Readonly<typeof counters>,
    connections: (): ReadonlySet<StreamConnection> => connections,
    /** `payload` is made only when somebody listens, and once for all of them. */
    publish(stream: string, payload: () => string): void {
      const audience = listeners.get(stream);
      if (audience === undefined || stalled || paused.has(stream)) return;
      const text = payload();
      let raw: Buffer | undefined;
      let combined: Buffer | undefined;
      for (const connection of audience) {
        const data = connection.combined
          ? (combined ??= Buffer.from(combinedText(stream, text)))
          : (raw ??= Buffer.from(text));
        connection.send(data);
        counters.frames += 1;
      }
    },
    /** To every connection, subscribed to anything or not. */
    announce(stream: string, text: string): void {
      for (const connection of connections) {
        connection.send(connection.combined ? combinedText(stream, text) : text);
      }
    },
    /** Without names: everything, pings and answers included; sockets stay open. */
    pause(streams?: readonly string[]): void {
      if (streams === undefined) stalled = true;
      else for (const stream of streams) paused.add(stream);
    },
    resume(): void {
      stalled = false;
      paused.clear();
    },
    stop(): void {
      clearInterval(sweep);
      for (const connection of connections) connection.reset();
      server.close();
    },
  };
}

const combinedText = (stream: string, text: string) => `{"stream":"${stream}","data":${text}}`;

/** `/stream`, `/stream?streams=a/b`, `/ws`, `/ws/a/b`; null for any other path. */
function streamsOf(target: string): { combined: boolean; streams: string[] } | null {
  const url = URL.parse(target, 'ws://localhost');
  if (url === null) return null;
  if (url.pathname === '/stream') {
    return { combined: true, streams: names(url.searchParams.get('streams') ?? '') };
  }
  const [first, ...streams] = names(url.pathname);
  return first === 'ws' ? { combined: false, streams } : null;
}

const names = (text: string) => text.split('/').filter((name) => name !== '');
