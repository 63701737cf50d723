/** Intervals in the same transaction as rows that need another way into their table. */
import { expect, onTestFinished, test } from 'vitest';
import { createLosses } from '../../src/writers/losses.ts';
import { freshDatabase, runHyperfeed } from '../support/daemon.ts';
import { silent } from '../support/schema.ts';
import { waitFor } from '../support/stack.ts';
import { never, startOn, TIME, trade } from '../support/writing.ts';

const DAY = 86_400_000_000;

test.for([
  { server: 'TimescaleDB', timescale: undefined },
  { server: 'plain PostgreSQL', timescale: false },
])(
  '$server: duplicates, refused and late rows beside an interval: each is stored once',
  async ({ timescale }) => {
    const database = await freshDatabase(timescale === undefined ? {} : { timescale });
    const writing = await startOn(database, { 'database.batch.maxDelayMs': 300 });
    const losses = await createLosses({
      exchange: 'binance',
      spool: writing.spool,
      tradeIds: true,
      metrics: writing.metrics,
      logger: silent,
    });
    onTestFinished(() => losses.close([]));
    const cut = { channel: 'order_book', symbol: 'BTC/USDT', reason: 'disconnected' } as const;
    const record = (second: number) => {
      const fromTime = TIME + second * 1_000_000;
      losses.recordGap({ ...cut, fromTime, toTime: fromTime + 500_000 });
    };

    record(1);
    await writing.write(trade(1), trade(2));
    await writing.drained();
    record(2);
    const late = { ...trade(3), time: TIME - 400 * DAY };
    await writing.write(late);
    await writing.drained();
    record(3);
    const refused = '2026-03-01 12:00:00+00\tBTC/USDT\tbinance\t9\tneither\t1\t1\n';
    writing.append(refused, 1);
    await writing.spool.flush(never);
    await waitFor(() => writing.spool.isEmpty(), { what: 'the last batch' });

    const gaps = await database.query(
      `SELECT channel, symbol, status, reason, from_id, extract(epoch FROM to_time - from_time)::text AS seconds
       FROM ingest_gaps WHERE reason = 'disconnected' ORDER BY from_time`,
    );
    const row = { channel: 'order_book', symbol: 'BTC/USDT', status: 'unfillable' };
    const wanted = { ...row, reason: 'disconnected', from_id: null, seconds: '0.500000' };
    expect(gaps).toEqual([wanted, wanted, wanted]);
    expect(await database.query('SELECT trade_id FROM trades ORDER BY trade_id')).toEqual([
      { trade_id: '1' },
      { trade_id: '2' },
      { trade_id: '3' },
    ]);
    expect(await writing.value('accountingError')).toBe(0);

    const { code, stdout } = await runHyperfeed(['gaps', 'list'], {
      env: { DATABASE_URL: database.url },
    });
    expect(code).toBe(0);
    expect(stdout.filter((text) => /order_book.*unfillable.*disconnected/.test(text))).toHaveLength(
      3,
    );
  },
);
