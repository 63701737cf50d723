/** A database whose defaults are not PostgreSQL's: the same rows, times and digits. */
import { expect, test } from 'vitest';
import { copyLine } from '../../src/writers/copy-text.ts';
import {
  freshDatabase,
  rowsOf,
  simulate,
  startDaemon,
  storedTrades,
  temporaryFolder,
} from '../support/daemon.ts';
import { waitFor } from '../support/stack.ts';
import { startOn, trades } from '../support/writing.ts';

const ODD = {
  datestyle: 'German, DMY',
  timezone: 'Asia/Kolkata',
  intervalstyle: 'sql_standard',
  standard_conforming_strings: 'off',
  default_transaction_isolation: 'serializable',
  bytea_output: 'escape',
  client_encoding: 'LATIN1',
};

async function oddDatabase() {
  const database = await freshDatabase();
  for (const [name, value] of Object.entries(ODD)) {
    await database.query(`ALTER DATABASE "${database.name}" SET ${name} = '${value}'`);
  }
  return database;
}

test('gaps are found and refilled, and their times are what they were, after a restart too', async () => {
  const database = await oddDatabase();
  const simulation = await simulate();
  simulation.setRate(0);
  const before = (await simulation.journal()).length;
  const settings = {
    ...simulation.settings,
    'database.url': database.url,
    'spool.directory': await temporaryFolder(),
  };
  for (let life = 0; life < 2; life++) {
    const daemon = await startDaemon(settings);
    await simulation.subscribed(6);
    simulation.setRate(100);
    await waitFor(async () => (await daemon.value('rowsStored', { table: 'trades' })) > 100, {
      what: 'rows',
    });
    simulation.skipNextTrades('BTC/USDT', 5);
    await waitFor(async () => (await daemon.value('gapRowsBackfilled')) >= 5, { what: 'a refill' });
    simulation.setRate(0);
    const expected = rowsOf((await simulation.journal()).slice(before));
    await waitFor(async () => (await storedTrades(database)).length >= expected.length, {
      what: 'all trades',
    });
    await daemon.drained();
    expect(await storedTrades(database)).toEqual(expected);
    await daemon.daemon.stop();
  }
  const wrong = await database.query(`
    SELECT FROM ingest_gaps AS gap WHERE channel = 'trades' AND NOT (
      EXISTS (SELECT FROM trades WHERE symbol = gap.symbol AND time = gap.from_time) AND
      EXISTS (SELECT FROM trades WHERE symbol = gap.symbol AND time = gap.to_time))`);
  expect(wrong).toEqual([]);
});

test('a refused row is kept byte by byte, whatever stands in it', async () => {
  const database = await oddDatabase();
  const { append, write, drained } = await startOn(database);
  const time = '2026-03-01 12:00:00.000000+00';
  const odd = `'; DROP TABLE trades; --\\'\\\\é€`;
  const line = copyLine([time, 'BTC/USDT', 'binance', odd, 'buy', `0'\\`, '1']);
  append(line, 1);
  const strange = copyLine([time, `${odd}/USDT`, 'binance', '7', 'buy', '1', '1']);
  append(strange, 1);
  await write(...trades(2, 9));
  await drained();
  const kept = await database.query<{ line: string }>(
    `SELECT encode(line, 'hex') AS line FROM ingest_quarantine ORDER BY id`,
  );
  expect(kept[0]?.line).toBe(Buffer.from(line.slice(0, -1)).toString('hex'));
  // Stored, or kept: nowhere else.
  const stored = await database.query('SELECT FROM trades');
  expect(stored.length + kept.length).toBe(11);
});
