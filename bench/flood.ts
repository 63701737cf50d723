/**
 * An exchange that costs next to nothing: trades in Binance's protocol over one real socket, at a rate
 * or as fast as the client reads. Frames are all of one length, made once and copied; only ids and times
 * are written anew. In a process of its own (see flood-exchange.ts):
 *
 *   {"count":1000,"perSecond":500}  ->  {"sent":1000,"probes":[[symbol, at, timestamp], ...]}
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import { createSimMarket } from '../src/sim/market.ts';
import { answerRest } from '../src/sim/rest.ts';
import { parseStreamRequest, resultText } from '../src/sim/stream-request.ts';
import { FIRST_ID, type Flood, type Probe, PROBE_EVERY } from './flood-exchange.ts';
import { clock } from './key-watch.ts';

const [symbols = [], probes = []] = process.argv.slice(2).map((list) => list.split(','));
const markets = new Map(
  [...symbols, ...probes].map((symbol) => {
    const market = createSimMarket({
      seed: 1,
      symbol,
      now: Date.now(),
      candleMs: 60_000,
      bookLevels: 10,
      depthIntervalMs: 1_000,
      historyCandles: 0,
    });
    return [market.instrument.venueSymbol, market] as const;
  }),
);
const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const { status, body } = answerRest(url, { markets, now: Date.now() });
  response.writeHead(status, { 'content-type': 'application/json' }).end(body);
});
const sockets = new WebSocketServer({ noServer: true });
let client: Socket | undefined;
server.on('upgrade', (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (webSocket) => {
    client = socket as Socket;
    client.setNoDelay(true);
    webSocket.on('message', (data: Buffer) => {
      const asked = parseStreamRequest(data.toString());
      if (asked.kind === 'invalid') throw new Error(asked.answer);
      webSocket.send(resultText(null, asked.id));
    });
    // A client that has gone is the end of a round.
    webSocket.on('error', () => undefined);
    webSocket.on('close', () => (client = undefined));
  });
});

server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
print({ wsUrl: `ws://127.0.0.1:${port}`, restUrl: `http://127.0.0.1:${port}` });

/** A frame of each symbol, after one another; the probes have theirs. */
const ring = Buffer.concat(symbols.map((symbol, i) => frameOf(symbol, i)));
const probeRing = Buffer.concat(probes.map((symbol, i) => frameOf(symbol, i)));
const length = ring.length / symbols.length;
const idAt = ring.indexOf('"t":') + 4;
const timeAt = ring.indexOf('"T":') + 4;
const CHUNK = 400;
let trades = 0;
let probed = 0;

const input = createInterface({ input: process.stdin });
for await (const line of input) print(await send(JSON.parse(line) as Flood));
process.exit();

async function send({ count, perSecond, withProbes = false }: Flood): Promise<object> {
  const sentProbes: Probe[] = [];
  const startedAt = performance.now();
  let next = 0;
  while (next < count) {
    const due = perSecond
      ? Math.min(count, Math.floor(((performance.now() - startedAt) * perSecond) / 1000))
      : count;
    if (due === next) {
      await sleep(1);
      continue;
    }
    const chunk = chunkOf(Math.min(due - next, CHUNK), withProbes ? sentProbes : undefined);
    next += chunk.length / length;
    if (!client) throw new Error('nobody listens');
    if (!client.write(chunk)) await once(client, 'drain');
  }
  return { sent: count, probes: sentProbes };
}

function chunkOf(count: number, sentProbes?: Probe[]): Buffer {
  const chunk = Buffer.allocUnsafe(count * length);
  const now = Date.now();
  for (let i = 0; i < count; i++) {
    const at = i * length;
    if (sentProbes && (trades + probed) % PROBE_EVERY === 0) {
      const which = probed % probes.length;
      probeRing.copy(chunk, at, which * length, (which + 1) * length);
      chunk.write(String(FIRST_ID + Math.floor(probed / probes.length)), at + idAt, 'latin1');
      sentProbes.push([probes[which] ?? '', clock(), now]);
      probed++;
    } else {
      const which = trades % symbols.length;
      ring.copy(chunk, at, which * length, (which + 1) * length);
      chunk.write(String(FIRST_ID + Math.floor(trades / symbols.length)), at + idAt, 'latin1');
      trades++;
    }
    chunk.write(String(now), at + timeAt, 'latin1');
  }
  return chunk;
}

/** With the header of a WebSocket frame. */
function frameOf(symbol: string, i: number): Buffer {
  const venueSymbol = symbol.replace('/', '');
  const price = `${60_000 + ((i * 31) % 977)}.${String(i * 1_237 + 100_000).slice(0, 6)}00`;
  const text = `{"stream":"${venueSymbol.toLowerCase()}@trade","data":{"e":"trade","E":${Date.now()},"s":"${venueSymbol}","t":${FIRST_ID},"p":"${price}","q":"1.23450000","T":${Date.now()},"m":true,"M":true}}`;
  const header = Buffer.from([0x81, 126, 0, 0]);
  header.writeUInt16BE(text.length, 2);
  return Buffer.concat([header, Buffer.from(text)]);
}

function print(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
