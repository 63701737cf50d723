/** A database whose tables are emptied before each turn. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { MarketEvent } from '../src/ingest/events.ts';
import type { Table } from '../src/writers/tables.ts';
import type { BenchContext } from './harness.ts';
import { copyText, EXCHANGE } from './rows.ts';
import { connected } from './servers.ts';

export interface Target {
  readonly url: string;
  /** Of a writer that may not check the foreign key of trades by the batch. */
  readonly rowCheckUrl: string;
  readonly client: Client;
  empty(table: Table): Promise<void>;
  load(table: Table, events: readonly MarketEvent[]): Promise<void>;
  close(): Promise<void>;
}

const ROW_CHECK_ROLE = 'bench_row_check';

export async function createTarget(
  context: BenchContext,
  symbols: readonly string[],
  name = 'bench_store',
): Promise<Target> {
  const servers = await context.servers();
  const { connectionString: url } = await servers.database(name);
  const client = await connected({ connectionString: url });
  await client.query(
    `INSERT INTO symbols (symbol, exchange, base_currency, quote_currency)
     SELECT symbol, $2, split_part(symbol, '/', 1), 'USDT' FROM unnest($1::text[]) AS symbol`,
    [symbols, EXCHANGE],
  );
  await client.query(
    `DO $$ BEGIN CREATE ROLE ${ROW_CHECK_ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${ROW_CHECK_ROLE};
     GRANT TEMPORARY ON DATABASE ${name} TO ${ROW_CHECK_ROLE}`,
  );
  const rowCheckUrl = new URL(url);
  rowCheckUrl.username = ROW_CHECK_ROLE;

  return {
    url,
    rowCheckUrl: rowCheckUrl.href,
    client,
    async empty(table) {
      await client.query(`TRUNCATE ${table.name}`);
      // What the turn before left to the disk is not this one's.
      await client.query('CHECKPOINT');
    },
    async load({ name: table, columns }, events) {
      if (events.length === 0) return;
      const stream = client.query(copyFrom(`COPY ${table} (${columns.join(', ')}) FROM STDIN`));
      await pipeline(Readable.from([copyText(events)]), stream);
    },
    close: () => client.end(),
  };
}
