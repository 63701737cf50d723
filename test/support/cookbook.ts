/** The recipes of docs/cookbook.md, and a database to run them on. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { binance } from '../../src/ingest/exchanges/binance.ts';
import type { Candle, MarketEvent, Trade } from '../../src/ingest/events.ts';
import { startDaemon, simulate } from './daemon.ts';
import { redisDatabase, type TestDatabase, waitFor } from './stack.ts';
import { storeAll } from './store-all.ts';

export const COOKBOOK = join(resolve(import.meta.dirname, '../..'), 'docs/cookbook.md');
export const SYMBOLS = ['BTC/USDT', 'ETH/USDT'];

export interface Recipe {
  readonly title: string;
  readonly language: 'sql' | 'redis';
  readonly code: string;
  readonly output: string;
}

export function readRecipes(): Recipe[] {
  const text = readFileSync(COOKBOOK, 'utf8');
  return [...text.matchAll(/^```(sql|redis)\n([^]*?)\n```\n\n```text\n([^]*?)```$/gm)].map(
    (match) => {
      const [, language, code = '', output = ''] = match;
      const titles = [...text.slice(0, match.index).matchAll(/^### (.+)$/gm)];
      const title = titles.at(-1)?.[1] ?? '';
      return { title, language: language as Recipe['language'], code, output };
    },
  );
}

/** Hours of candles and trades from the history of a simulated exchange; then some live seconds, with a gap. */
export async function fillDatabase(database: TestDatabase) {
  const simulation = await simulate({ historyCandles: 200, tradesPerSecond: 100 });
  const { restUrl } = simulation.exchange;
  const { candles, trades } = binance.history ?? {};
  if (!candles || !trades) throw new Error('binance has a history');
  const ask = async ({ path, query }: ReturnType<typeof candles.request>) =>
    (await fetch(`${restUrl}${path}?${new URLSearchParams(query).toString()}`)).text();

  const events: MarketEvent[] = [];
  for (const symbol of SYMBOLS) {
    const venueSymbol = symbol.replace('/', '');
    const stamp = { exchange: 'binance', symbol, receivedAt: Date.now() * 1000 };
    const until = Math.floor(Date.now() / 60_000) * 60_000_000;
    const rows = await ask(candles.request(venueSymbol, until - 200 * 60_000_000, until - 1));
    for (const { kind: _, closed, venueSymbol: __, ...candle } of candles.parse(
      rows,
      venueSymbol,
    )) {
      if (closed) events.push({ type: 'candle', ...stamp, ...candle } satisfies Candle);
    }
    const [first, last] = simulation.tradeIds(symbol);
    for (let id = first; id <= last;) {
      const page = trades.parse(await ask(trades.request(venueSymbol, String(id))), venueSymbol);
      for (const { kind: _, venueSymbol: __, ...trade } of page) {
        events.push({ type: 'trade', ...stamp, ...trade } satisfies Trade);
      }
      id = Number(page.at(-1)?.tradeId) + 1;
    }
  }
  await storeAll(database.url, [events]);
  // A cut an hour ago, and one that is beyond the range.
  await database.query(
    `INSERT INTO ingest_gaps (exchange, channel, symbol, from_time, to_time, status, reason, closed_at)
     SELECT 'binance', 'order_book', 'BTC/USDT', now() - ago, now() - ago + INTERVAL '3 seconds', 'unfillable', 'disconnected', now()
       FROM (VALUES (INTERVAL '1 hour'), (INTERVAL '2 days')) AS cuts (ago)`,
  );
  const redisUrl = await redisDatabase();
  const tested = await startDaemon({
    ...simulation.settings,
    'database.url': database.url,
    'redis.url': redisUrl,
    'redis.publish': true,
    'orderBook.snapshotIntervalMs': 100,
  });
  await simulation.subscribed(6);
  const counted = async (sql: string) => Number((await database.query<{ n: string }>(sql))[0]?.n);
  // Before its first trade nothing is missing.
  await waitFor(
    () => counted(`SELECT count(*) AS n FROM ingest_cursor WHERE symbol = 'BTC/USDT'`),
    {
      what: 'a trade to be stored',
    },
  );
  simulation.skipNextTrades('BTC/USDT', 5);
  await waitFor(
    async () =>
      (await counted(`SELECT count(*) AS n FROM ingest_gaps WHERE status = 'filled'`)) > 0 &&
      (await counted('SELECT count(*) AS n FROM order_book')) > 20,
    { what: 'a gap that is filled again, and order books', timeoutMs: 20_000 },
  );
  return { simulation, tested, redisUrl };
}
