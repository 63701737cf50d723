/** The whole daemon while the primary of its Redis is killed: no row is missing, no key is wrong. */
import { expect, test } from 'vitest';
import {
  freshDatabase,
  rowsOf,
  simulate,
  startDaemon,
  storedTrades,
  type TradeRow,
} from '../support/daemon.ts';
import { waitFor } from '../support/stack.ts';
import { startSentinels } from '../support/valkey.ts';

test('a failover by Sentinels costs no row', { timeout: 60_000 }, async () => {
  const { primary, replica, url } = await startSentinels();
  const database = await freshDatabase();
  const simulation = await simulate({ tradesPerSecond: 0 });
  const daemon = await startDaemon({
    ...simulation.settings,
    'database.url': database.url,
    'redis.url': url,
  });
  await simulation.subscribed(6);
  simulation.setRate(200);
  await waitFor(() => primary.client.exists('price:binance:BTC/USDT'), { what: 'a price' });
  await primary.kill();
  const isPrimary = async () => (await replica.client.info('replication')).includes('role:master');
  await waitFor(isPrimary, { what: 'the failover', timeoutMs: 20_000 });
  simulation.setRate(0);
  await waitFor(
    async () =>
      (await daemon.value('rowsReceived', { table: 'trades' })) >= simulation.counters().trades,
    { what: 'all trades' },
  );
  await daemon.drained();

  const rows = rowsOf(await simulation.journal());
  expect(rows.length).toBeGreaterThan(100);
  expect(await storedTrades(database)).toEqual(rows);
  for (const symbol of ['BTC/USDT', 'ETH/USDT']) {
    const [, , , price, volume, time] = rows.findLast((row) => row[0] === symbol) as TradeRow;
    const wanted = { price, volume, timestamp: String(Date.parse(time)) };
    await waitFor(
      async () =>
        (await replica.client.hget(`price:binance:${symbol}`, 'timestamp')) === wanted.timestamp,
      { what: `the last price of ${symbol}`, timeoutMs: 2_500 },
    );
    expect(await replica.client.hgetall(`price:binance:${symbol}`)).toEqual(wanted);
  }
});
