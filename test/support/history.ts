/** An exchange with a past that nobody listened to, and the commands about it as a user runs them. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import {
  environmentOf,
  freshDatabase,
  hyperfeed,
  runHyperfeed,
  type Settings,
  simulate,
} from './daemon.ts';
import { migrate } from '../../src/schema/migrate.ts';
import { silent } from './schema.ts';
import type { TestDatabase } from './stack.ts';

export const BTC = 'BTC/USDT';

export interface Series {
  readonly symbol: string;
  readonly channel: string;
  readonly asked: number;
  readonly stored: number;
  readonly known: number;
  readonly corrected: number;
  readonly missing: number;
  readonly refused: number;
  readonly settled: number;
  readonly note?: string;
}

/** Five trades a minute, up to now. */
export async function startPast(minutes = 60, settings: Settings = {}) {
  const simulation = await simulate({
    tradesPerSecond: 0,
    historyCandles: minutes,
    symbols: [BTC],
  });
  // What is younger may still change; and ranges that end now are not the same twice.
  const to = new Date(Date.now() - 150_000).toJSON();
  const database = await migratedDatabase();
  const env = {
    ...environmentOf({ ...simulation.settings, ...settings }),
    DATABASE_URL: database.url,
  };
  const range = ['--json', '--from', '5d ago', '--to', to];
  const argumentsOf = (flags: readonly string[]) => [...range, ...flags];
  return {
    simulation,
    database,
    env,
    /** To its end. */
    async backfill(...flags: string[]) {
      const ended = await runHyperfeed(['backfill', ...argumentsOf(flags)], { env });
      return { ...ended, ...summaryOf(ended.stdout) };
    },
    startBackfill: (...flags: string[]) => hyperfeed(['backfill', ...argumentsOf(flags)], { env }),
    startVerify: (...flags: string[]) => hyperfeed(['verify', ...argumentsOf(flags)], { env }),
    async verify(...flags: string[]) {
      const ended = await runHyperfeed(['verify', ...argumentsOf(flags)], { env });
      const lines = ended.stdout.map((line) => JSON.parse(line) as Record<string, unknown>);
      return { ...ended, lines, summary: lines.at(-1) };
    },
  };
}

/** As the daemon and the command would make it; so that its tables can be looked at from the start. */
export async function migratedDatabase(): Promise<TestDatabase> {
  const database = await freshDatabase();
  await migrate({ clientConfig: { connectionString: database.url }, logger: silent });
  return database;
}

export function summaryOf(lines: readonly string[]) {
  const summary = JSON.parse(lines.at(-1) ?? '{}') as { series?: Series[]; complete?: boolean };
  const { series = [], complete } = summary;
  return { complete, of: (channel: string) => series.find((s) => s.channel === channel) };
}

/** Every row of a table as COPY would write it, in the order of the texts. */
export async function textOf(database: TestDatabase, table: string): Promise<string[]> {
  const rows = await database.query<{ row: string }>(
    `SELECT t::text AS row FROM ${table} AS t ORDER BY 1`,
  );
  return rows.map(({ row }) => row);
}

const ROLLUPS = { market_data_5m: '5 minutes', market_data_1h: '1 hour', market_data_1d: '1 day' };

/** Longer candles that are not what the minutes make. */
export async function wrongRollups(database: TestDatabase): Promise<unknown[]> {
  const wrong = Object.entries(ROLLUPS).map(([table, width]) =>
    database.query(
      `WITH made AS (SELECT date_bin('${width}', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS time, exchange, symbol,
              max(high) AS high, min(low) AS low, sum(volume) AS volume, sum(trades) AS trades FROM market_data GROUP BY 1, 2, 3)
       SELECT * FROM made FULL JOIN ${table} AS kept USING (time, exchange, symbol)
        WHERE (made.high, made.low, made.volume, made.trades) IS DISTINCT FROM (kept.high, kept.low, kept.volume, kept.trades)`,
    ),
  );
  return (await Promise.all(wrong)).flat();
}

/** Passes requests on to an exchange, and keeps when which came. */
export async function watchedRest(restUrl: string) {
  const requests: { readonly path: string; readonly atMs: number }[] = [];
  const server = createServer((request, response) => {
    requests.push({ path: (request.url ?? '').split('?')[0] ?? '', atMs: performance.now() });
    fetch(restUrl + request.url)
      .then(async (answer) => response.writeHead(answer.status).end(await answer.text()))
      .catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { requests, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
