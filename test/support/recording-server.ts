/**
 * Serves a recording over a real WebSocket and real REST, as Binance did: acknowledges subscriptions,
 * then plays every received frame in order at full speed. REST answers are the recorded ones, so a
 * book snapshot may arrive after diffs that follow it: a client has to buffer those anyway.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { WebSocketServer, type WebSocket } from 'ws';
import type { RecordedLine } from '../../src/ingest/recording.ts';

export interface RecordingServerOptions {
  readonly records: Iterable<RecordedLine> | AsyncIterable<RecordedLine>;
  /** Pause between two frames; 0: none. */
  readonly pauseMs?: number;
  /** Plays after this many subscribe messages. */
  readonly playAfter?: number;
}

export type RecordingServer = Awaited<ReturnType<typeof startRecordingServer>>;

const KNOWN_QUOTES = /^(.+)(USDT|USDC|BUSD|BTC|ETH|BNB|TRY|EUR)$/;
const MAX_BUFFERED_BYTES = 1024 * 1024;

export async function startRecordingServer(options: RecordingServerOptions) {
  const { playAfter = 1, pauseMs = 0 } = options;
  const frames: string[] = [];
  const answers = new Map<string, string[]>();
  for await (const record of options.records) {
    if (record.dir === 'in') frames.push(record.frame);
    if (record.dir === 'http') {
      const key = answerKey(new URL(record.url ?? ''));
      answers.set(key, [...(answers.get(key) ?? []), record.frame]);
    }
  }

  const respond = (url: URL, response: ServerResponse) => {
    // Asked again, the next recorded answer; the last one for ever.
    const recorded = answers.get(answerKey(url));
    const body = recorded && recorded.length > 1 ? recorded.shift() : recorded?.[0];
    const isMarketList = url.pathname.endsWith('/exchangeInfo');
    const answer = body ?? (isMarketList ? exchangeInfoOf(frames) : undefined);
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(answer ?? '{"code":-1,"msg":"Not in the recording."}');
  };
  const server = createServer((request, response) => {
    respond(new URL(request.url ?? '/', 'http://localhost'), response);
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });

  let position = 0;
  const { promise: done, resolve: finish } = Promise.withResolvers<void>();
  /** One socket at a time; should it end early, the next that subscribes gets the rest. */
  let playing = false;
  const play = async (socket: WebSocket) => {
    if (playing) return;
    playing = true;
    while (position < frames.length && socket.readyState === socket.OPEN) {
      socket.send(frames[position] ?? '');
      position += 1;
      if (pauseMs > 0) await setTimeout(pauseMs);
      while (socket.bufferedAmount > MAX_BUFFERED_BYTES && socket.readyState === socket.OPEN) {
        await setTimeout(1);
      }
    }
    playing = false;
    if (position >= frames.length) finish();
  };

  sockets.on('connection', (socket) => {
    let subscriptions = 0;
    socket.on('message', (data) => {
      const request = JSON.parse((data as Buffer).toString()) as { method: string; id: unknown };
      socket.send(JSON.stringify({ result: null, id: request.id }));
      if (request.method === 'SUBSCRIBE') subscriptions += 1;
      if (subscriptions === playAfter) void play(socket);
    });
  });

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    wsUrl: `ws://127.0.0.1:${port}`,
    restUrl: `http://127.0.0.1:${port}`,
    /** All frames were sent. */
    done,
    async stop(): Promise<void> {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** `depth BTCUSDT`: whichever host, version and limit. */
function answerKey(url: URL): string {
  const method = url.pathname.slice(url.pathname.lastIndexOf('/') + 1);
  return `${method} ${url.searchParams.get('symbol')?.toUpperCase() ?? ''}`.trimEnd();
}

/** A market list for recordings without one: the symbols of their frames. */
function exchangeInfoOf(frames: readonly string[]): string {
  const names = new Set<string>();
  for (const frame of frames) {
    const name = /"s":"([^"]+)"/.exec(frame)?.[1];
    if (name !== undefined) names.add(name);
  }
  const symbols = [...names].flatMap((symbol) => {
    const [, baseAsset, quoteAsset] = KNOWN_QUOTES.exec(symbol) ?? [];
    return baseAsset ? [{ symbol, status: 'TRADING', baseAsset, quoteAsset, filters: [] }] : [];
  });
  return JSON.stringify({ timezone: 'UTC', rateLimits: [], exchangeFilters: [], symbols });
}
