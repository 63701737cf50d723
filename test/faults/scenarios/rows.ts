/** Rows that the database refuses. */
import type { Flow } from '../flow.ts';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

/** From now on the table refuses each so manieth id. */
export async function poison(flow: Flow, every: number): Promise<void> {
  const condition = flow.symbols
    .map(
      (symbol) =>
        `(symbol = '${symbol}' AND (trade_id::numeric <= %s OR trade_id::numeric %% ${every} <> 0))`,
    )
    .join(' OR ');
  const newest = flow.symbols
    .map((symbol) => `(SELECT max(trade_id::numeric) FROM trades WHERE symbol = '${symbol}')`)
    .join(', ');
  await flow.query(
    `DO $$ BEGIN
       LOCK TABLE trades IN ACCESS EXCLUSIVE MODE;
       EXECUTE format('ALTER TABLE trades ADD CONSTRAINT poison CHECK (${condition.replaceAll("'", "''")})', ${newest});
     END $$;`,
  );
}

const waiting = async (flow: Flow) =>
  Number(await flow.query('SELECT count(*) FROM ingest_quarantine WHERE replayed_at IS NULL'));

/** Their bytes are COPY text, so psql alone can store them. */
export async function replay(flow: Flow): Promise<void> {
  await flow.query('ALTER TABLE trades DROP CONSTRAINT poison');
  const [columns] = (
    await flow.query(
      `SELECT DISTINCT array_to_string(column_names, ', ') FROM ingest_quarantine WHERE table_name = 'trades'`,
    )
  ).split('\n');
  const lines = await flow.query(
    `SELECT convert_from(line, 'UTF8') FROM ingest_quarantine WHERE replayed_at IS NULL ORDER BY id`,
  );
  // One that came twice waits twice.
  await flow.query(
    `BEGIN;
     CREATE TEMP TABLE again (LIKE trades);
     COPY again (${columns}) FROM STDIN;\n${lines}\n\\.\n
     INSERT INTO trades SELECT * FROM again ON CONFLICT DO NOTHING;
     UPDATE ingest_quarantine SET replayed_at = now();
     COMMIT;`,
  );
}

export const rowScenarios: readonly Scenario[] = [
  {
    name: 'poison',
    what: 'the table refuses one trade in 300; they wait in quarantine, and are replayed',
    short: true,
    faults: (size) => ({ 'row refused': size === 'short' ? 4 : 40 }),
    flow: { rate: 1_000 },
    withoutRefill: true,
    async run(flow) {
      await flow.begin();
      await poison(flow, 300);
      const planned = flow.world.planned('row refused');
      await until('rows in quarantine', async () => (await waiting(flow)) >= planned, {
        timeoutMs: 90_000,
        everyMs: 200,
      });
      await flow.flowing();
      flow.world.happened('row refused', await waiting(flow));
      await replay(flow);
    },
  },
  {
    name: 'poison-all',
    what: 'the table refuses every trade: it is not the rows, and the writer halts',
    faults: () => ({ 'schema refuses': 1 }),
    flow: { rate: 300 },
    withoutRefill: true,
    async run(flow) {
      await flow.begin();
      await poison(flow, 1);
      await until('the writer to halt', () =>
        flow
          .daemon()
          .log()
          .some((line) => line.msg === 'storing interrupted' && line['delayMs'] === 30_000),
      );
      flow.world.happened('schema refuses');
      if ((await waiting(flow)) > 100) throw new Error('rows went to quarantine that are well');
      await replay(flow);
      await flow.flowing(90_000);
    },
  },
];
