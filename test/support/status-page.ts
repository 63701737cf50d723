/** A daemon with its status page, whose market has some minutes behind it. */
import { binance } from '../../src/ingest/exchanges/binance.ts';
import { holds, type OpenedPage } from './browser.ts';
import { freshDatabase, type Settings, startDaemon } from './daemon.ts';
import { simulateMinutes } from './fast-market.ts';
import { redisDatabase } from './stack.ts';

export const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT'];
export const DESKTOP = { width: 1280, height: 880 };
export const PHONE = { width: 360, height: 780 };

export async function startPage(
  options: {
    readonly symbols?: readonly string[];
    readonly minutes?: number;
    readonly settings?: Settings;
  } = {},
) {
  const { symbols = SYMBOLS, minutes = 4 } = options;
  const simulation = await simulateMinutes(minutes, { symbols, tradesPerSecond: 40 });
  const database = await freshDatabase();
  const started = await startDaemon(
    {
      ...simulation.settings,
      'database.url': database.url,
      'redis.url': await redisDatabase(),
      'http.statusPage': true,
      ...options.settings,
    },
    { ...binance, id: 'binance-simulated' },
  );
  await simulation.subscribed(symbols.length * 3);
  simulation.hurry();
  const url = `http://127.0.0.1:${started.daemon.address()?.port}/`;
  return { ...started, simulation, database, url };
}

/** Until all streams are live with a price, and a candle has closed. */
export function whenFilled(opened: OpenedPage, streams = SYMBOLS.length * 3) {
  return holds(
    opened,
    `document.querySelectorAll('#streams .good').length === ${streams} &&
     [...document.querySelectorAll('#streams .digits')].every((one) => one.textContent !== '–') &&
     document.querySelectorAll('#trades tbody tr').length === 20 &&
     document.querySelector('#candle dd').textContent !== '–'`,
  );
}
