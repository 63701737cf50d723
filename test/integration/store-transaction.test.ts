/** The transaction of a batch that has to be tried again. */
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createMetrics } from '../../src/metrics.ts';
import { copyLine } from '../../src/writers/copy-text.ts';
import { createGapLedger } from '../../src/writers/gap-ledger.ts';
import { createTransaction } from '../../src/writers/store-transaction.ts';
import { createBatches } from '../support/batch.ts';
import { configOf, metricValue, storedTrades } from '../support/daemon.ts';
import { createMigrated, silent } from '../support/schema.ts';
import { trade } from '../support/writing.ts';

async function open() {
  const database = await createMigrated(false);
  onTestFinished(() => database.drop());
  const client = new Client({ connectionString: database.url });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(`INSERT INTO symbols VALUES ('BTC/USDT', 'binance', 'BTC', 'USDT')`);
  const metrics = createMetrics('binance');
  const common = { exchange: 'binance', metrics, logger: silent };
  const gaps = createGapLedger({ ...common, refillable: true, spool: { append: () => false } });
  const { quarantine } = configOf({}).database;
  const transaction = createTransaction({ ...common, gaps, quarantine });
  await transaction.begin(client);
  return { client, database, metrics, gaps, transaction };
}

test('a batch of which a part is stored counts that part once, however often it is tried', async () => {
  const { client, database, metrics, transaction } = await open();
  const batchOf = createBatches();
  const first = batchOf([trade(1), trade(2)]);
  const second = batchOf([trade(2), trade(3)]);
  await transaction.addPartitions(client, first);
  await transaction.store(client, first);
  const both = { ...second, frames: [...first.frames, ...second.frames], rows: 4 };
  await expect(transaction.store(client, both)).rejects.toMatchObject({ code: '23505' });
  await client.query('ROLLBACK');
  transaction.stageNext();
  await transaction.store(client, both);
  expect(await metricValue(metrics, 'rowsKnown')).toBe(2);
  expect(await metricValue(metrics, 'watermarkSkipped')).toBe(1);
  expect(await metricValue(metrics, 'rowsStored')).toBe(3);
  expect(await metricValue(metrics, 'rowsDuplicate')).toBe(1);
  expect(await storedTrades(database)).toHaveLength(3);
});

test('a row that is refused for its time has an id all the same: the batch is stored, the cursor moves', async () => {
  const { client, database, transaction, gaps } = await open();
  const { epoch, frames } = createBatches()([trade(1), trade(2)]);
  const [frame] = frames as [(typeof frames)[number]];
  const line = copyLine(['2026-02-31 00:00:00+00', 'BTC/USDT', 'binance', '3', 'buy', '1', '1']);
  const payload = Buffer.concat([frame.payload, Buffer.from(line)]);
  const batch = { epoch, frames: [{ ...frame, payload, rows: 3 }], rows: 3 };
  await transaction.addPartitions(client, batch);
  await expect(transaction.store(client, batch)).rejects.toMatchObject({ code: '22008' });
  await client.query('ROLLBACK');
  await transaction.isolate(client, batch, (work) => work());
  await transaction.store(client, batch);
  expect(await storedTrades(database)).toHaveLength(2);
  expect(await database.query('SELECT sqlstate FROM ingest_quarantine')).toEqual([
    { sqlstate: '22008' },
  ]);
  expect(gaps.cursor('BTC/USDT')).toBe(3n);
  // What comes next finds its place behind it, whatever its time was.
  await transaction.store(client, createBatches()([trade(6)]));
  expect(await database.query('SELECT from_id::text, to_id::text FROM ingest_gaps')).toEqual([
    { from_id: '4', to_id: '5' },
  ]);
  // After a restart too, to the microsecond.
  await transaction.reload(client);
  await transaction.store(client, createBatches()([trade(9)]));
  const [gap] = await database.query<{ known: boolean }>(`
    SELECT from_time = (SELECT time FROM trades WHERE trade_id = '6')
       AND to_time = (SELECT time FROM trades WHERE trade_id = '9') AS known
      FROM ingest_gaps WHERE from_id = 7`);
  expect(gap).toEqual({ known: true });
});
