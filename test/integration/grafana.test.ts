/** Every SQL of the dashboards, run as Grafana would, as the role that it logs in as. */
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createMigrated } from '../support/schema.ts';
import type { TestDatabase } from '../support/stack.ts';

const FOLDER = resolve(import.meta.dirname, '../../ops/grafana/dashboards');

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets?: readonly { readonly rawSql?: string; readonly format?: string }[];
  }[];
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly query: unknown;
      readonly datasource?: { readonly type: string };
    }[];
  };
}

const queries = readdirSync(FOLDER).flatMap((file) => {
  const { panels, templating } = JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Dashboard;
  const ofPanels = panels.flatMap(({ title, targets = [] }) =>
    targets.flatMap(({ rawSql, format }) => (rawSql ? [{ title, sql: rawSql, format }] : [])),
  );
  const ofVariables = templating.list.flatMap(({ name, query, datasource }) =>
    datasource?.type === 'grafana-postgresql-datasource'
      ? [{ title: `$${name}`, sql: String(query), format: 'table' }]
      : [],
  );
  return [...ofVariables, ...ofPanels].map((query) => ({ file, ...query }));
});

/** The macros of Grafana's PostgreSQL data source. */
function expand(sql: string, from: string, to: string): string {
  return sql
    .replaceAll(/\$__timeFilter\((\w+)\)/g, `$1 BETWEEN '${from}' AND '${to}'`)
    .replaceAll('$__timeFrom()', `'${from}'`)
    .replaceAll('$__timeTo()', `'${to}'`)
    .replaceAll(/\$__timeGroup\((\w+), ?\$__interval\)/g, 'floor(extract(epoch from $1)/10)*10')
    .replaceAll('$exchange', 'binance')
    .replaceAll('$symbol', 'BTC/USDT')
    .replaceAll('$timeframe', '1m');
}

describe('dashboards over PostgreSQL', () => {
  let database: TestDatabase;
  let from = '';
  let to = '';

  beforeAll(async () => {
    database = await createMigrated(inject('timescale') !== undefined);
    const [row] = await database.query<{ start: Date; now: Date }>(
      `SELECT date_trunc('minute', now()) - INTERVAL '5 minutes' AS start, now()`,
    );
    const { start, now } = row!;
    from = start.toISOString();
    to = new Date(now.getTime() + 1_000).toISOString();
    await database.query(
      `INSERT INTO symbols (symbol, exchange, base_currency, quote_currency)
       VALUES ('BTC/USDT', 'binance', 'BTC', 'USDT')`,
    );
    // The minute after the first is missing.
    for (const minute of [0, 2, 3]) {
      await database.query(
        `INSERT INTO market_data VALUES ($1::timestamptz + $2 * INTERVAL '1 minute',
           'BTC/USDT', 'binance', 100, 110, 90, 105, 3, 7)`,
        [from, minute],
      );
    }
    await database.query(
      `INSERT INTO trades VALUES ($1::timestamptz + INTERVAL '1 second', 'BTC/USDT', 'binance', '1', 'buy', 100.10, 2),
         ($1::timestamptz + INTERVAL '2 seconds', 'BTC/USDT', 'binance', '2', 'sell', 100.20, 3)`,
      [from],
    );
    await database.query(
      `INSERT INTO order_book VALUES ($1::timestamptz + INTERVAL '1 second', 'BTC/USDT', 'binance',
         '[{"price": 100.1, "amount": 1}, {"price": 100.0, "amount": 4}]',
         '[{"price": 100.3, "amount": 2}, {"price": 100.4, "amount": 5}, {"price": 100.5, "amount": 1}]')`,
      [from],
    );
    await database.query(
      `INSERT INTO system_logs VALUES ($1, 'warn', 'hyperfeed-binance', 'binance', 'connection ended', '{}')`,
      [from],
    );
    // One was missing by its ids and is there, one is known by its time; one ended before.
    await database.query(
      `INSERT INTO ingest_gaps (exchange, channel, symbol, from_id, to_id, next_id, from_time, to_time, status, rows_filled, reason, closed_at)
       VALUES ('binance', 'trades', 'BTC/USDT', 7, 9, 10, $1::timestamptz + INTERVAL '2 seconds', $1::timestamptz + INTERVAL '3 seconds', 'filled', 3, NULL, now()),
              ('binance', 'order_book', 'BTC/USDT', NULL, NULL, NULL, $1::timestamptz - INTERVAL '1 hour', $1::timestamptz + INTERVAL '1 second', 'unfillable', 0, 'not_running', now()),
              ('binance', 'order_book', 'BTC/USDT', NULL, NULL, NULL, $1::timestamptz - INTERVAL '3 hours', $1::timestamptz - INTERVAL '2 hours', 'unfillable', 0, 'disconnected', now())`,
      [from],
    );
    await database.query(
      `INSERT INTO ingest_quarantine (exchange, table_name, column_names, epoch, seq, position, line, sqlstate, message, at)
       VALUES ('binance', 'trades', '{time}', 'e', 1, 0, 'x', '23514', 'refused', $1)`,
      [from],
    );
  });
  afterAll(() => database.drop());

  const run = async (sql: string) => {
    const rows = await database.query<Record<string, unknown>>(expand(sql, from, to));
    return rows;
  };
  const panel = (title: string) => run(queries.find((query) => query.title === title)?.sql ?? '');

  test.for(queries)('$file: $title', async ({ sql, format }) => {
    const rows = await run(sql);
    expect(rows.length).toBeGreaterThan(0);
    // Grafana takes these for a graph: a time, text for names, numbers.
    if (format === 'time_series') {
      expect(rows.every(({ time }) => time !== null && time !== undefined)).toBe(true);
    }
    expect(JSON.stringify(rows)).not.toContain('$__');
  });

  test('they say what is there', async () => {
    expect(await panel('Last price')).toMatchObject([{ price: '100.20' }]);
    expect(await panel('Spread, now')).toMatchObject([{ spread: '0.2' }]);
    expect(await panel('Gaps')).toMatchObject([
      { channel: 'trades', ids: '7 .. 9', status: 'filled', rows_filled: '3', reason: null },
      { channel: 'order_book', ids: 'by time', status: 'unfillable', reason: 'not_running' },
    ]);
    expect(await panel('Quarantine')).toMatchObject([{ table_name: 'trades', sqlstate: '23514' }]);
    expect(await panel('Minutes without a candle')).toMatchObject([{ minutes: 1 }]);
    expect(await panel('Order book: levels')).toEqual([
      { 'bid amount': '1', bid: '100.1', ask: '100.3', 'ask amount': '2' },
      { 'bid amount': '4', bid: '100.0', ask: '100.4', 'ask amount': '5' },
      { 'bid amount': null, bid: null, ask: '100.5', 'ask amount': '1' },
    ]);
    const [bids = '', asks = ''] = queries
      .filter(({ title }) => title === 'Order book: depth')
      .map(({ sql }) => sql);
    expect(await run(bids)).toEqual([
      { price: '100.0', bids: '5' },
      { price: '100.1', bids: '1' },
    ]);
    expect(await run(asks)).toEqual([
      { price: '100.3', asks: '2' },
      { price: '100.4', asks: '7' },
      { price: '100.5', asks: '8' },
    ]);
  });
});
