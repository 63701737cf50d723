/** What is known by its time alone: each interval in which it was not followed is a row. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  freshDatabase,
  runHyperfeed,
  simulate,
  startDaemon,
  temporaryFolder,
} from '../support/daemon.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';

interface Row {
  symbol: string;
  channel: string;
  reason: string;
  status: string;
  seconds: number;
  books: number;
}

/** With the samples that lie within the interval: there must be none. */
const gaps = (database: TestDatabase) =>
  database.query<Row>(
    `SELECT symbol, channel, reason, status, extract(epoch FROM to_time - from_time)::float8 AS seconds,
       (SELECT count(*)::int FROM order_book b WHERE b.symbol = g.symbol AND b.time > from_time AND b.time < to_time) AS books
     FROM ingest_gaps g WHERE channel = 'order_book' ORDER BY g.id`,
  );

test('a cut, a book out of sync, and the time between two runs', async () => {
  const database = await freshDatabase();
  const simulation = await simulate({ symbols: ['BTC/USDT'] });
  simulation.setRate(50);
  const settings = {
    ...simulation.settings,
    symbols: ['BTC/USDT'],
    channels: ['trades', 'order_book'],
    'database.url': database.url,
    'spool.directory': await temporaryFolder(),
    'orderBook.snapshotIntervalMs': 200,
    'connection.reconnect.minDelayMs': 1_000,
  };
  const one = await startDaemon(settings);
  const flows = async (value: () => Promise<number>) => {
    const before = await value();
    await waitFor(async () => (await value()) > before + 3, { what: 'samples', timeoutMs: 20_000 });
  };
  await flows(() => one.value('rowsStored', { table: 'order_book' }));
  simulation.dropConnections();
  await waitFor(async () => (await gaps(database)).length === 1, {
    what: 'the gap',
    timeoutMs: 20_000,
  });
  await flows(() => one.value('rowsStored', { table: 'order_book' }));
  await one.daemon.stop();
  const stoppedAt = Date.now();
  await sleep(600);

  const two = await startDaemon(settings);
  await waitFor(async () => (await gaps(database)).length === 2, {
    what: 'the second gap',
    timeoutMs: 20_000,
  });
  const down = (Date.now() - stoppedAt) / 1000;
  await two.drained();
  const [cut, restart] = await gaps(database);
  const common = { symbol: 'BTC/USDT', channel: 'order_book', status: 'unfillable', books: 0 };
  expect(cut).toMatchObject({ ...common, reason: 'disconnected' });
  expect(cut?.seconds).toBeGreaterThan(0.4);
  expect(restart).toMatchObject({ ...common, reason: 'not_running' });
  expect(restart?.seconds).toBeGreaterThan(0.6);
  expect(restart?.seconds).toBeLessThan(down + 5);
  // Trades have ids: they were refilled, and are no row of this kind.
  const { stdout } = await runHyperfeed(['gaps', 'list'], {
    env: { DATABASE_URL: database.url },
  });
  expect(stdout.filter((line) => line.includes('order_book'))).toHaveLength(2);
});
