/** The foreign key of trades, checked by the batch: no interleaving leaves an orphan. */
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { codeOf } from '../../src/errors.ts';
import { freshDatabase, storedTrades } from '../support/daemon.ts';
import { createRandom } from '../support/random.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';
import { candle, rowOf, startOn, trade, trades } from '../support/writing.ts';

async function connect(database: TestDatabase): Promise<Client> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

const orphans = (database: TestDatabase) =>
  database.query(`SELECT symbol, count(*) FROM trades
    WHERE NOT EXISTS (SELECT FROM symbols WHERE (symbols.symbol, symbols.exchange) = (trades.symbol, trades.exchange))
    GROUP BY symbol`);

test('who deletes a symbol while its rows are stored waits, and then may not', async () => {
  const database = await freshDatabase();
  const { write, drained, store } = await startOn(database);
  expect(store.status().foreignKeyCheck).toBe('batch');
  const other = await connect(database);
  // The store waits for this lock in its transaction: after its check, before its rows.
  await other.query('BEGIN; LOCK TABLE trades IN SHARE MODE');
  await write(trade(2, 'NEW/USDT'));
  await waitFor(
    async () =>
      (
        await database.query(
          `SELECT FROM pg_locks WHERE NOT granted AND relation = 'trades'::regclass`,
        )
      ).length > 0,
    { what: 'the store to wait' },
  );
  const deleting = (await connect(database))
    .query(`DELETE FROM symbols WHERE symbol = 'NEW/USDT'`)
    .then(
      () => 'deleted',
      (error: { code: string }) => error.code,
    );
  await other.query('COMMIT');
  await drained();
  expect(await orphans(database)).toEqual([]);
  // Before the store's check it may be gone, and is made known again; after it, never.
  expect(['23503', 'deleted']).toContain(await deleting);
  expect(await storedTrades(database)).toHaveLength(2);
});

test('deletions at random moments: no orphan, no row lost', async () => {
  const database = await freshDatabase();
  const { write, drained } = await startOn(database, { 'database.batch.maxDelayMs': 1 });
  const deleter = await connect(database);
  const random = createRandom(20_261_122);
  const outcomes = new Map<string, number>();
  let done = false;
  const deleteOne = async (symbol: string) => {
    try {
      const { rowCount } = await deleter.query('DELETE FROM symbols WHERE symbol = $1', [symbol]);
      return rowCount === 1 ? 'deleted' : 'not there';
    } catch (error) {
      if (codeOf(error) !== '23503') throw error;
      await deleter.query('DELETE FROM trades WHERE symbol = $1', [symbol]);
      return '23503';
    }
  };
  const deleting = (async () => {
    while (!done) {
      const outcome = await deleteOne(`S${Math.floor(random() * 8)}/USDT`);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  })();
  try {
    for (let n = 0; n < 60; n++) {
      const some = trades(n * 10, n * 10 + 9);
      await write(...some.map((one, i) => ({ ...one, symbol: `S${(n + i) % 8}/USDT` })));
    }
    await drained(30_000);
  } finally {
    done = true;
  }
  await deleting;
  expect(await orphans(database)).toEqual([]);
  // A symbol that is gone for a moment is not the fault of its rows.
  expect(await database.query('SELECT FROM ingest_quarantine')).toEqual([]);
  expect(outcomes.get('23503')).toBeGreaterThan(0);
  expect(outcomes.get('deleted')).toBeGreaterThan(0);
});

test('a trigger of somebody on trades runs: row by row then', async () => {
  const database = await freshDatabase();
  const { write, drained } = await startOn(database);
  await database.query(`
    CREATE TABLE seen (id text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN INSERT INTO seen VALUES (new.trade_id); RETURN new; END $$;
    CREATE TRIGGER note AFTER INSERT ON trades FOR EACH ROW EXECUTE FUNCTION note()`);
  await write(...trades(2, 20), trade(21, 'NEW/USDT'));
  await drained();
  expect(await database.query('SELECT FROM seen')).toHaveLength(20);
  expect(await orphans(database)).toEqual([]);
});

test('triggers of somebody on other tables run, whatever is in their batch', async () => {
  const database = await freshDatabase();
  const { write, drained, store } = await startOn(database);
  await database.query(`
    CREATE TABLE seen (name text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN INSERT INTO seen VALUES (tg_argv[0]); RETURN new; END $$;
    CREATE TRIGGER note AFTER INSERT ON ingest_quarantine FOR EACH ROW EXECUTE FUNCTION note('ingest_quarantine');
    CREATE TRIGGER note AFTER INSERT ON market_data FOR EACH ROW EXECUTE FUNCTION note('market_data');
    ALTER TABLE symbols ADD CONSTRAINT odd CHECK (symbol NOT LIKE 'X%')`);
  await write(trade(2, 'X/USDT'), candle('1.50'), ...trades(3, 20));
  await drained();
  expect(store.status().foreignKeyCheck).toBe('batch');
  expect(await database.query('SELECT name FROM seen ORDER BY 1')).toEqual([
    { name: 'ingest_quarantine' },
    { name: 'market_data' },
  ]);
});

test('a foreign key of somebody on trades is checked: row by row then', async () => {
  const database = await freshDatabase();
  const { write, drained } = await startOn(database);
  await database.query(`
    CREATE TABLE sides (side text PRIMARY KEY);
    INSERT INTO sides VALUES ('buy'), ('sell');
    ALTER TABLE trades ADD FOREIGN KEY (side) REFERENCES sides;
    DELETE FROM trades; DELETE FROM sides WHERE side = 'sell'`);
  await write(...trades(2, 9));
  await drained();
  const sides = await database.query('SELECT DISTINCT side FROM trades');
  expect(sides).toEqual([{ side: 'buy' }]);
  expect(await database.query('SELECT FROM ingest_quarantine')).toHaveLength(4);
});

test('a trigger that is for replicas does not run', async () => {
  const database = await freshDatabase({ timescale: false });
  await database.query(`ALTER DATABASE "${database.name}" SET timescaledb.disable_load = on`);
  const { write, drained } = await startOn(database);
  await database.query(`
    CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
    CREATE TRIGGER never BEFORE INSERT ON trades FOR EACH ROW EXECUTE FUNCTION never();
    ALTER TABLE trades ENABLE REPLICA TRIGGER never`);
  await write(...trades(2, 9));
  await drained();
  expect(await storedTrades(database)).toHaveLength(9);
});

test('without the right to it: row by row, and the same rows', async () => {
  const database = await freshDatabase();
  const role = `writer_${database.name}`;
  await database
    .query(`CREATE ROLE ${role} LOGIN PASSWORD 'x' IN ROLE hyperfeed_writer`)
    .catch(() => undefined);
  const { stop } = await startOn(database);
  await stop();
  await database.query(`REVOKE SET ON PARAMETER session_replication_role FROM hyperfeed_writer`);
  onTestFinished(() =>
    database
      .query('GRANT SET ON PARAMETER session_replication_role TO hyperfeed_writer')
      .then(() => undefined),
  );
  const url = new URL(database.url);
  url.username = role;
  url.password = 'x';
  const { write, drained, store } = await startOn(
    { ...database, url: url.href },
    { 'database.migrate': false },
  );
  await write(...trades(2, 50), trade(51, 'ODD/USDT'));
  await drained();
  expect(store.status().foreignKeyCheck).toBe('row');
  expect(await storedTrades(database)).toEqual(
    [...trades(1, 50), trade(51, 'ODD/USDT')].map(rowOf),
  );
});
