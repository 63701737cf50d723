/** The status page over HTTP, of a real daemon: its files, and what it tells as things happen. */
import { request } from 'node:http';
import { describe, expect, test } from 'vitest';
import { openEvents } from '../support/event-stream.ts';
import { startPage } from '../support/status-page.ts';
import { waitFor } from '../support/stack.ts';

const SYMBOLS = ['BTC/USDT', 'ETH/USDT'];

interface Status {
  readonly status: string;
  readonly uptimeSeconds: number;
  readonly reasons: readonly { readonly code: string }[];
  readonly parts: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly stored: readonly { readonly table: string; readonly perSecond: number | null }[];
  readonly streams: readonly {
    readonly channel: string;
    readonly symbol: string;
    readonly state: string;
    readonly price: string | null;
    readonly lagMs: number | null;
    readonly rowsPerSecond: number | null;
    readonly missing: number | null;
    readonly provenance: string;
  }[];
}

interface Market {
  readonly symbol: string;
  readonly trades: readonly Readonly<Record<'id' | 'side' | 'price' | 'quantity', string>>[];
  readonly candle?: Readonly<Record<'open' | 'high' | 'low' | 'close' | 'volume', string>>;
  readonly book?: { readonly bids: readonly string[][]; readonly asks: readonly string[][] };
}

interface Candles {
  readonly candles: readonly ({ readonly timeMs: number } & Record<string, string>)[];
}

/** Status and head only. */
function ask(url: string, method: string, headers: Record<string, string> = {}) {
  return new Promise<{ status: number | undefined; allow: string | undefined }>(
    (resolve, reject) => {
      const asking = request(url, { method, headers, agent: false }, (response) => {
        response.resume();
        resolve({ status: response.statusCode, allow: response.headers.allow });
      });
      asking.on('error', reject);
      asking.end();
    },
  );
}

test('off unless it is asked for', async () => {
  const { url: origin } = await startPage({ settings: { 'http.statusPage': undefined } });
  const index = await fetch(origin);
  expect(index.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(await index.text()).toContain('/metrics');
  expect((await fetch(`${origin}events`)).status).toBe(404);
  expect((await fetch(`${origin}page.js`)).status).toBe(404);
});

test('its files: types, policy, and not sent twice', async () => {
  const { url: origin } = await startPage({ symbols: SYMBOLS });
  const page = await fetch(origin);
  const html = await page.text();
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
  const named = [...html.matchAll(/(?:src|href)="([\w.-]+\.(?:js|css))"/g)].map(
    (match) => match[1],
  );
  expect(named).toEqual(['page.css', 'page.js']);
  const paths = ['', 'page.css', 'page.js', 'chart.js', 'market.js', 'tables.js', 'text.js'];
  for (const path of [...paths, 'lightweight-charts.js']) {
    const url = origin + path;
    const file = await fetch(url);
    expect(file.status).toBe(200);
    const { byteLength } = await file.arrayBuffer();
    expect([byteLength > 0, byteLength]).toEqual([
      true,
      Number(file.headers.get('content-length')),
    ]);
    if (path !== '') {
      const type = path.endsWith('.css') ? 'text/css' : 'text/javascript';
      expect(file.headers.get('content-type')).toBe(`${type}; charset=utf-8`);
    }
    const policy = file.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; /);
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(file.headers.get('x-content-type-options')).toBe('nosniff');
    expect(file.headers.get('cache-control')).toBe('no-cache');
    const etag = file.headers.get('etag') ?? '';
    const again = await fetch(url, { headers: { 'if-none-match': `"other", ${etag}` } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    expect((await fetch(url, { headers: { 'if-none-match': '"other"' } })).status).toBe(200);
    expect(await ask(url, 'HEAD')).toMatchObject({ status: 200 });
    expect(await ask(url, 'POST')).toEqual({ status: 405, allow: 'GET, HEAD' });
    expect(await ask(url, 'GET', { 'x-long': 'x'.repeat(9_000) })).toMatchObject({ status: 431 });
  }
});

describe('/events', () => {
  test('tells what the daemon stores, to the digit, for longer than a request may take', async () => {
    const { url: origin, database, drained, daemon } = await startPage({ symbols: SYMBOLS });
    const events = await openEvents(`${origin}events`);
    expect(events.status).toBe(200);
    expect(events.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    const isKnown = ({ streams, stored }: Status) =>
      streams.length === 6 &&
      streams.every(({ state, price, lagMs }) => state === 'live' && price && lagMs !== null) &&
      stored.every(({ perSecond }) => perSecond !== null);
    const status = await events.next('status', isKnown);
    expect(status).toMatchObject({ exchange: 'binance-simulated', status: 'ok', symbols: SYMBOLS });
    expect(status.parts).toMatchObject({
      store: { state: 'storing' },
      redis: { connected: true },
      feed: { orderBooksInSync: 2 },
      gaps: { open: 0 },
    });
    const [trades] = status.streams;
    expect(trades).toMatchObject({ channel: 'trades', provenance: 'ids', missing: 0 });
    await events.next<Status>('status', ({ streams }) =>
      streams.every(({ channel, rowsPerSecond }) => channel === 'candles' || rowsPerSecond),
    );

    // The server allows a request five seconds to come in.
    await events.next<Status>('status', ({ uptimeSeconds }) => uptimeSeconds >= 8, 20_000);
    const { trades: shown } = await events.next<Market>(
      'market',
      (one) => one.trades.length === 20,
    );
    const closed = await events.next<Candles>('candles', ({ candles }) => candles.length >= 2);
    expect(events.told.every(({ data }) => [undefined, 'BTC/USDT'].includes(data['symbol']))).toBe(
      true,
    );
    events.close();
    await daemon.stop();
    await drained();
    const tradeRows = await database.query(
      `SELECT trade_id AS id, side, price::text, quantity::text FROM trades
       WHERE symbol = 'BTC/USDT' AND trade_id = ANY ($1) ORDER BY trade_id::bigint DESC`,
      [shown.map(({ id }) => id)],
    );
    expect(shown.map(({ id, side, price, quantity }) => ({ id, side, price, quantity }))).toEqual(
      tradeRows,
    );
    const candleRows = await database.query(
      `SELECT (extract(epoch FROM time) * 1000)::float8 AS "timeMs",
              open::text, high::text, low::text, close::text, volume::text
       FROM market_data WHERE symbol = 'BTC/USDT' AND time = ANY ($1::timestamptz[]) ORDER BY time`,
      [closed.candles.map(({ timeMs }) => new Date(timeMs))],
    );
    expect(closed.candles).toEqual(candleRows);
  });

  test('one symbol at a time, of those that are streamed; what happens to the daemon too', async () => {
    const { url: origin, simulation } = await startPage({
      settings: { 'connection.staleAfterMs.trades': 2_000 },
    });
    const events = await openEvents(`${origin}events?symbol=ETH%2FUSDT`);
    const market = await events.next<Market>('market', ({ book, candle }) => book && candle);
    expect(market.symbol).toBe('ETH/USDT');
    expect(market.book?.bids).toHaveLength(20);
    expect(market.book?.asks).toHaveLength(20);
    expect((await fetch(`${origin}events?symbol=XRP%2FUSDT`)).status).toBe(404);
    expect((await fetch(`${origin}events?symbol=__proto__`)).status).toBe(404);

    simulation.pauseStreams(['ethusdt@trade']);
    const failing = await events.next<Status>(
      'status',
      ({ reasons }) => reasons.some(({ code }) => code === 'stale'),
      20_000,
    );
    expect(failing).toMatchObject({ status: 'failing', reasons: [{ code: 'stale' }] });
    const stale = failing.streams.filter(({ state }) => state === 'stale');
    expect(stale).toMatchObject([{ channel: 'trades', symbol: 'ETH/USDT' }]);
  });

  test('eight may watch; the ninth may when one has left', async () => {
    const { url: origin } = await startPage({ symbols: SYMBOLS });
    for (let times = 0; times < 10; times++) {
      expect(await ask(`${origin}events`, 'HEAD')).toMatchObject({ status: 200 });
    }
    const watching = await Promise.all(
      Array.from({ length: 8 }, () => openEvents(`${origin}events`)),
    );
    const refused = await fetch(`${origin}events`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await refused.text()).toBe('at most 8 may watch\n');
    // Others are served as ever.
    expect((await fetch(`${origin}livez`)).status).toBe(200);
    watching[3]?.close();
    await waitFor(async () => (await ask(`${origin}events`, 'HEAD')).status === 200, {
      what: 'room for one more',
    });
    const next = await openEvents(`${origin}events`);
    expect(next.status).toBe(200);
    await next.next('status');
  });

  test('a daemon that stops ends them, and is not held up', async () => {
    const { url: origin, daemon } = await startPage({ symbols: SYMBOLS });
    const reading = await openEvents(`${origin}events`);
    const silent = await openEvents(`${origin}events`);
    silent.pause();
    await reading.next('status');
    expect((await daemon.stop()).stragglers).toEqual([]);
    await reading.ended();
    expect(reading.isComplete()).toBe(true);
    await expect(openEvents(`${origin}events`)).rejects.toThrow('ECONNREFUSED');
  });
});
