/**
 * A small Coinbase Exchange over real sockets and real REST: BTC-USD, whose trades go on whether or not
 * anybody listens, its book, and its history of candles. Time runs `speed` times faster.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

const START_MS = 1_786_309_560_000;
const MINUTE_MS = 60_000;
const PRODUCT = 'BTC-USD';

interface CandleRow {
  readonly ms: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
}

interface Asked {
  readonly type: string;
  readonly product_ids: readonly string[];
  readonly channels: readonly string[];
}

interface Made {
  readonly trade_id: number;
  readonly ms: number;
  readonly price: number;
  readonly size: number;
}

export type CoinbaseServer = Awaited<ReturnType<typeof startCoinbaseServer>>;

export interface CoinbaseServerOptions {
  readonly speed: number;
  /** What the history has of minutes without trades; the real one has nothing. */
  readonly emptyMinutes?: 'present' | 'absent';
}

export async function startCoinbaseServer({ speed, emptyMinutes }: CoinbaseServerOptions) {
  const startedAt = performance.now();
  const nowMs = () => START_MS + (performance.now() - startedAt) * speed;
  const made: Made[] = [];
  const received: string[] = [];
  const subscribed = new Map<WebSocket, Set<string>>();
  let bid = 100;
  let paused = false;

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://x');
    const [from, to] = ['start', 'end'].map((key) => Date.parse(url.searchParams.get(key) ?? ''));
    const rows = candles(nowMs()).filter(({ ms }) => ms >= (from ?? 0) && ms <= (to ?? 0));
    const body = rows
      .toReversed()
      .map((c) => `[${c.ms / 1000},${c.low},${c.high},${c.open},${c.close},${c.volume}]`);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`[${body.join(',')}]`);
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: true });

  sockets.on('connection', (socket) => {
    subscribed.set(socket, new Set());
    socket.on('close', () => subscribed.delete(socket));
    socket.on('message', (data: Buffer) => {
      const text = data.toString();
      received.push(text);
      const asked = JSON.parse(text) as Asked;
      const { type, channels } = asked;
      if (asked.product_ids[0] !== PRODUCT) {
        const reason = `${asked.product_ids[0]} is not a valid product`;
        socket.send(JSON.stringify({ type: 'error', message: 'Failed to subscribe', reason }));
        return;
      }
      const mine = subscribed.get(socket) ?? new Set();
      for (const channel of channels) {
        if (type === 'unsubscribe') mine.delete(channel);
        else mine.add(channel);
      }
      const list = [...mine].map((name) => ({
        name: name.replace('batch', '50'),
        product_ids: [PRODUCT],
      }));
      socket.send(JSON.stringify({ type: 'subscriptions', channels: list }));
      if (type !== 'subscribe') return;
      const last = made.at(-1);
      if (channels.includes('matches') && last) socket.send(matchText('last_match', last));
      if (channels.includes('level2_batch')) socket.send(snapshotText());
    });
  });

  /** Every so often a trade, and a change of the book. */
  const trading = setInterval(() => {
    if (paused) return;
    const price = 100 + (made.length % 7);
    const trade = { trade_id: made.length + 1, ms: nowMs(), price, size: 1 + (made.length % 3) };
    made.push(trade);
    send('matches', matchText('match', trade));
    bid = 90 + (made.length % 5);
    send('level2_batch', changeText(`${bid}.00`, '1'));
  }, 15);

  function send(channel: string, text: string): void {
    for (const [socket, channels] of subscribed) if (channels.has(channel)) socket.send(text);
  }

  /** What the trades until then make, minute by minute; the last one is not over. */
  function candles(untilMs: number): CandleRow[] {
    const minutes = Map.groupBy(
      made.filter(({ ms }) => ms < untilMs),
      ({ ms }) => Math.floor(ms / MINUTE_MS) * MINUTE_MS,
    );
    const first = Math.min(...minutes.keys());
    const rows: CandleRow[] = [];
    for (let ms = first; ms < untilMs; ms += MINUTE_MS) {
      const prices = minutes.get(ms)?.map(({ price }) => price) ?? [];
      const before = rows.at(-1)?.close ?? 0;
      if (prices.length === 0 && emptyMinutes !== 'present') continue;
      if (prices.length === 0) prices.push(before);
      const volume = minutes.get(ms)?.reduce((sum, { size }) => sum + size, 0) ?? 0;
      const [high, low] = [Math.max(...prices), Math.min(...prices)];
      rows.push({ ms, open: prices[0] ?? 0, high, low, close: prices.at(-1) ?? 0, volume });
    }
    return rows;
  }

  const iso = (ms: number) => new Date(ms).toISOString().replace('Z', '000Z');

  function matchText(type: string, { trade_id, ms, price, size }: Made): string {
    const amounts = { price: String(price), size: String(size) };
    return JSON.stringify({
      type,
      trade_id,
      product_id: PRODUCT,
      side: 'sell',
      time: iso(ms),
      ...amounts,
    });
  }

  function snapshotText(): string {
    const asks = [['200.00', '1']];
    return JSON.stringify({
      type: 'snapshot',
      product_id: PRODUCT,
      bids: [[`${bid}.00`, '1']],
      asks,
    });
  }

  function changeText(price: string, size: string): string {
    const changes = [['buy', price, size]];
    return JSON.stringify({ type: 'l2update', product_id: PRODUCT, time: iso(nowMs()), changes });
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    wsUrl: `ws://127.0.0.1:${port}`,
    restUrl: `http://127.0.0.1:${port}`,
    nowMs,
    candles,
    /** What clients sent. */
    received,
    /** Cuts every connection, without a closing handshake. */
    cut: () => {
      for (const socket of subscribed.keys()) socket.terminate();
    },
    /** Nobody trades. */
    pause: (yes: boolean) => {
      paused = yes;
    },
    sendBadChange: () => send('level2_batch', changeText('91.00', '-1')),
    async close() {
      clearInterval(trading);
      for (const socket of subscribed.keys()) socket.terminate();
      sockets.close();
      server.close();
      await once(server, 'close');
    },
  };
}
