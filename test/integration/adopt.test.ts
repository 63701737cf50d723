/** The document's tables, made by hand before us: adopted whole, or refused with every difference. */
import { readFile } from 'node:fs/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { migrate } from '../../src/schema/migrate.ts';
import { migrationStatus } from '../../src/schema/status.ts';
import { createEmpty, ENGINES, silent } from '../support/schema.ts';
import type { TestDatabase } from '../support/stack.ts';

const DOCUMENT = await readFile(new URL('../../docs/schema-document.md', import.meta.url), 'utf8');
const STATEMENTS = [...DOCUMENT.matchAll(/```sql\n(.*?)```/gs)]
  .map(([, sql]) => sql ?? '')
  .join('\n')
  .replaceAll(/--.*$/gm, '')
  .split(';')
  .map((statement) => statement.trim())
  .filter((statement) => statement !== '');

describe.each(ENGINES)('$engine', ({ timescale }) => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createEmpty(timescale);
    return () => database.drop();
  });

  /** As somebody would who follows the document: its tables, those of 7-day chunks, and some rows. */
  async function makeByHand(): Promise<void> {
    const tables = STATEMENTS.filter((sql) => sql.startsWith('CREATE TABLE'));
    const first = /TABLE (users|symbols|strategies) /;
    const rest = STATEMENTS.filter((sql) => !sql.startsWith('CREATE TABLE'));
    for (const sql of [
      ...tables.filter((one) => first.test(one)).toSorted((a, b) => b.localeCompare(a)),
      ...tables.filter((one) => !first.test(one)),
      ...rest,
    ]) {
      if (timescale || !sql.includes('create_hypertable')) await database.query(sql);
    }
    await database.query(`
      INSERT INTO users (username, email, password_hash) VALUES ('ann', 'a@x', 'h'), ('bob', 'b@x', 'h');
      INSERT INTO strategies (user_id, name, config) VALUES (2, 'grid', '{"a": 1}');
      INSERT INTO symbols VALUES ('BTC/USDT', 'binance', 'BTC', 'USDT');
      INSERT INTO market_data SELECT t, 'BTC/USDT', 'binance', 1, 2, 1, 2, 3, 4 FROM generate_series('2026-01-01'::timestamptz, '2026-03-01', '1 day') AS t;
      INSERT INTO trades SELECT t, 'BTC/USDT', 'binance', extract(epoch FROM t)::text, 'buy', 1.50, 2 FROM generate_series('2026-01-01'::timestamptz, '2026-03-01', '6 hours') AS t;
      INSERT INTO executed_orders VALUES ('2026-01-01', '1', 'BTC/USDT', 'binance', 'buy', 'limit', 1, 1, 1, 0, 'filled', 1)`);
  }

  const run = () => migrate({ clientConfig: { connectionString: database.url }, logger: silent });

  /** All that is in the schema public, and the number of rows. */
  function snapshot() {
    return database.query(`
      SELECT (SELECT jsonb_agg(format('%s %s', oid, relname) ORDER BY oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace) AS relations,
             (SELECT jsonb_agg(nspname ORDER BY nspname) FROM pg_namespace WHERE nspname ~ '^hyperfeed') AS schemas,
             (SELECT count(*) FROM trades) AS trades`);
  }

  test('adopts them with every row, and is then the same as if it had made them', async () => {
    await makeByHand();
    const rows = await database.query('SELECT * FROM trades ORDER BY time');
    const candles = await database.query('SELECT * FROM market_data ORDER BY time');
    await run();
    expect(await database.query('SELECT * FROM trades ORDER BY time')).toEqual(rows);
    expect(await database.query('SELECT * FROM market_data ORDER BY time')).toEqual(candles);
    expect(await database.query('SELECT username FROM users ORDER BY id')).toEqual([
      { username: 'ann' },
      { username: 'bob' },
    ]);
    // The sequence went along.
    expect(
      await database.query(
        `INSERT INTO users (username, email, password_hash) VALUES ('cid', 'c@x', 'h') RETURNING id`,
      ),
    ).toEqual([{ id: 3 }]);
    const status = await migrationStatus({
      clientConfig: { connectionString: database.url },
      logger: silent,
    });
    expect(status.differences).toEqual([]);

    const fresh = await createEmpty(timescale);
    try {
      await migrate({ clientConfig: { connectionString: fresh.url }, logger: silent });
      expect(await shape(database)).toEqual(await shape(fresh));
    } finally {
      await fresh.drop();
    }
  });

  test('refuses rows that no unique key or check can take: how many, and what to do', async () => {
    await makeByHand();
    await database.query(`
      INSERT INTO trades SELECT * FROM trades WHERE time < '2026-01-03';
      INSERT INTO trades VALUES ('2026-02-01 01:00', 'BTC/USDT', 'binance', 'x', 'BUY', 0, 2);
      INSERT INTO trades VALUES ('2026-02-01 01:00', 'BTC/USDT', 'binance', NULL, 'buy', 1, 2), ('2026-02-01 01:00', 'BTC/USDT', 'binance', NULL, 'buy', 1, 2)`);
    const before = await snapshot();
    const message = await run().then(
      () => '',
      (error: Error) => error.message,
    );
    expect(message).toContain(
      'trades: 8 rows too many for UNIQUE ("time", exchange, symbol, trade_id); DELETE FROM trades a USING trades b',
    );
    expect(message).toMatch(
      /- trades: 1 rows break CHECK .*price.*; SELECT \* FROM trades WHERE NOT /,
    );
    expect(message).toMatch(/- trades: 1 rows break CHECK .*side.*; /);
    expect(message.split('\n- ')).toHaveLength(4);
    expect(await snapshot()).toEqual(before);

    // Its own advice is enough.
    for (const line of message.split('\n- ').slice(1)) {
      const sql = (line.split('\n')[0] ?? '').split('; ')[1] ?? '';
      await database.query(sql.replace('SELECT *', 'DELETE'));
    }
    await run();
    expect(await database.query('SELECT FROM trades')).toHaveLength(237 + 2);
  });

  test('refuses columns of another kind, all of them at once', async () => {
    await makeByHand();
    await database.query(`
      ALTER TABLE market_data ALTER COLUMN volume TYPE float8, ALTER COLUMN open DROP NOT NULL, DROP COLUMN trades;
      ALTER TABLE symbols ALTER COLUMN base_currency TYPE varchar(99);
      ALTER TABLE users ADD COLUMN tenant int NOT NULL DEFAULT 0, ADD COLUMN note text;
      ALTER TABLE api_keys ADD COLUMN tenant int NOT NULL;
      DROP TABLE system_settings; CREATE VIEW system_settings AS SELECT 1 AS id`);
    const before = await snapshot();
    const message = await run().then(
      () => '',
      (error: Error) => error.message,
    );
    expect(
      message
        .split('\n')
        .filter((line) => line.startsWith('- '))
        .toSorted(),
    ).toEqual([
      '- api_keys.tenant: not ours, and NOT NULL without a default; ALTER TABLE api_keys ALTER COLUMN tenant DROP NOT NULL',
      '- market_data.open: may be NULL, must not; ALTER TABLE market_data ALTER COLUMN open SET NOT NULL',
      '- market_data.volume: is double precision, must be numeric; ALTER TABLE market_data ALTER COLUMN volume TYPE numeric',
      '- market_data: no column trades; ALTER TABLE market_data ADD COLUMN trades integer',
      '- symbols.base_currency: is character varying(99), must be character varying(32); ALTER TABLE symbols ALTER COLUMN base_currency TYPE character varying(32)',
      '- system_settings: is no table; give it another name',
    ]);
    expect(await snapshot()).toEqual(before);
  });
});

/** Columns and constraints of every table. */
async function shape(database: TestDatabase) {
  const rows = await database.query(`
    SELECT c.relname, c.relkind,
           ARRAY(SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 ORDER BY 1) AS columns,
           ARRAY(SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = c.oid AND contype IN ('p', 'u', 'f', 'c') ORDER BY 1) AS constraints
      FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
     ORDER BY 1`);
  // PostgreSQL spells an IN list differently once it has read its own spelling.
  return JSON.stringify(rows, undefined, 1)
    .replaceAll('ANY ((ARRAY', 'ANY (ARRAY')
    .replaceAll(/\(('\w+'::character varying)\)::text/g, '$1')
    .replaceAll('])::text[])', '])');
}
