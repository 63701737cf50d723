/** Cursors, gaps and fills in the transactions of the store, on both kinds of server. */
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { OpenGap, Trade } from '../../src/ingest/events.ts';
import { createMetrics } from '../../src/metrics.ts';
import { createGapLedger } from '../../src/writers/gap-ledger.ts';
import type { SpooledFrame } from '../../src/writers/spool.ts';
import { countRows, FRAME_ROWS, type FrameType } from '../../src/writers/spool-format.ts';
import { createTransaction } from '../../src/writers/store-transaction.ts';
import { configOf } from '../support/daemon.ts';
import { createMigrated, ENGINES, silent } from '../support/schema.ts';
import type { TestDatabase } from '../support/stack.ts';
import { encodeRow } from '../../src/writers/tables.ts';

const SYMBOL = 'BTC/USDT';
const NOW = Date.now() * 1000;

const trade = (id: number, price = '1.5'): Trade => ({
  type: 'trade',
  exchange: 'binance',
  symbol: SYMBOL,
  time: NOW + id,
  receivedAt: 0,
  tradeId: String(id),
  side: 'buy',
  price,
  quantity: '2',
});
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => trade(from + i));

describe.each(ENGINES)('$engine', ({ timescale }) => {
  let database: TestDatabase;
  let epochs = 0;

  beforeAll(async () => {
    database = await createMigrated(timescale);
    await database.query(`INSERT INTO symbols VALUES ('${SYMBOL}', 'binance', 'BTC', 'USDT')`);
  });
  afterAll(() => database.drop());
  beforeEach(() => database.query('TRUNCATE ingest_cursor, ingest_gaps, trades'));

  /** One life of a daemon: a spool in which frames wait until the test has them stored. */
  async function live(role?: string) {
    const client = new Client({
      connectionString: database.url,
      ...(role && { options: `-c role=${role}` }),
    });
    await client.connect();
    onTestFinished(() => client.end());
    const metrics = createMetrics('binance');
    let waiting: SpooledFrame[] = [];
    let seq = 0;
    const spool = {
      full: false,
      append(
        table: number,
        payload: Buffer,
        _rows: number,
        _at: number,
        type: FrameType = FRAME_ROWS,
      ) {
        if (spool.full) return false;
        const frame = { seq: ++seq, type, table, payload };
        waiting.push({ ...frame, rows: countRows(frame) } as SpooledFrame);
        return true;
      },
    };
    const gaps = createGapLedger({
      exchange: 'binance',
      refillable: true,
      spool,
      metrics,
      logger: silent,
    });
    const transaction = createTransaction({
      exchange: 'binance',
      gaps,
      quarantine: configOf({}).database.quarantine,
      metrics,
      logger: silent,
    });
    const epoch = String(++epochs).padStart(16, '0');
    await transaction.begin(client);
    return {
      gaps,
      spool,
      transaction,
      /** What waits, less what is lost on the way. */
      async store(lose: (frame: SpooledFrame) => boolean = () => false): Promise<void> {
        const frames = waiting.filter((frame) => !lose(frame));
        waiting = [];
        if (frames.length > 0) await transaction.store(client, { epoch, frames, rows: 0 });
      },
      live: (trades: readonly Trade[]) =>
        spool.append(1, Buffer.from(trades.map(encodeRow).join('')), trades.length, 0),
      only(): OpenGap {
        const [gap, ...others] = gaps.open();
        expect(others).toEqual([]);
        return gap as OpenGap;
      },
    };
  }

  const rows = () =>
    database.query(
      `SELECT from_id::int AS "from", to_id::int AS "to", next_id::int AS next, status, rows_filled::int AS rows, reason
         FROM ingest_gaps ORDER BY from_id`,
    );
  const ids = async () =>
    (await database.query('SELECT trade_id::int AS id FROM trades ORDER BY 1')).map(
      ({ id }) => id as number,
    );

  test('a gap in parts: refilled, lost in the middle, refilled to its end', async () => {
    // As the writer of the daemon, who may not delete.
    const life = await live('hyperfeed_writer');
    life.live([...range(1, 3), ...range(20, 21)]);
    await life.store();
    expect(await rows()).toMatchObject([{ from: 4, to: 19, next: 4, status: 'open' }]);
    expect(life.gaps.cursor(SYMBOL)).toBe(21n);
    const gap = life.only();
    expect(life.gaps.refill(gap, range(4, 9))).toBe(true);
    await life.store();
    expect(life.gaps.lose(gap, 11n, 'not_in_history')).toBe(true);
    // Known before it is stored.
    expect(gap.next).toBe(12n);
    await life.store();
    expect(life.gaps.refill(gap, range(12, 15))).toBe(true);
    expect(life.gaps.refill(gap, range(16, 19))).toBe(true);
    expect(life.gaps.open()).toEqual([]);
    await life.store();
    expect(await rows()).toEqual([
      { from: 4, to: 9, next: 10, status: 'filled', rows: 6, reason: null },
      { from: 10, to: 11, next: 12, status: 'unfillable', rows: 0, reason: 'not_in_history' },
      { from: 12, to: 19, next: 20, status: 'filled', rows: 8, reason: null },
    ]);
    expect(await ids()).toEqual([...range(1, 9), ...range(12, 21)].map((t) => Number(t.tradeId)));
  });

  test('a fill that is lost on its way to the database is asked for again', async () => {
    const life = await live();
    life.live([trade(1), trade(10)]);
    await life.store();
    const gap = life.only();
    life.gaps.refill(gap, range(2, 5));
    life.gaps.refill(gap, range(6, 9));
    const isFirst = ({ payload }: SpooledFrame) => payload.includes('"from":"2"');
    await life.store(isFirst);
    expect(await rows()).toMatchObject([{ from: 2, to: 9, next: 2, status: 'open', rows: 0 }]);
    expect(life.only()).toMatchObject({ next: 2n });
    life.gaps.refill(life.only(), range(2, 9));
    life.transaction.stageNext();
    await life.store();
    expect(await rows()).toMatchObject([{ from: 2, to: 9, status: 'filled', rows: 8 }]);
    expect(await ids()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test('another life goes on from what is stored; what an earlier one settled twice counts once', async () => {
    const first = await live();
    first.live([trade(1), trade(10)]);
    await first.store();
    first.gaps.refill(first.only(), range(2, 4));
    await first.store();
    first.gaps.refill(first.only(), range(5, 6));
    const second = await live();
    expect(second.only()).toMatchObject({ next: 5n, to: 9n });
    expect(second.gaps.cursor(SYMBOL)).toBe(10n);
    second.gaps.refill(second.only(), range(5, 9));
    // From the spool of the first.
    await first.store();
    second.transaction.stageNext();
    await second.store();
    expect(await rows()).toMatchObject([{ from: 2, to: 9, status: 'filled', rows: 8 }]);
  });

  test('a row that the table would refuse is lost by its reason; a full spool is tried again', async () => {
    const life = await live();
    life.live([trade(1), trade(5)]);
    await life.store();
    const page = [trade(2), trade(3, '0'), trade(4)];
    life.spool.full = true;
    expect(life.gaps.refill(life.only(), page)).toBe(false);
    expect(life.only()).toMatchObject({ next: 2n });
    life.spool.full = false;
    expect(life.gaps.refill(life.only(), page)).toBe(true);
    expect(life.gaps.refill(life.only(), page.slice(1))).toBe(true);
    expect(life.gaps.refill(life.only(), page.slice(2))).toBe(true);
    await life.store();
    expect(await rows()).toMatchObject([
      { from: 2, to: 2, status: 'filled', rows: 1 },
      { from: 3, to: 3, status: 'unfillable', reason: 'rejected' },
      { from: 4, to: 4, status: 'filled', rows: 1 },
    ]);
    expect(await ids()).toEqual([1, 2, 4, 5]);
  });

  test('rows that never reached the spool, or could not be read from it, are a gap like any other', async () => {
    const life = await live();
    life.live(range(1, 10));
    await life.store();
    life.live(range(11, 20));
    life.live(range(21, 30));
    await life.store(({ seq }) => seq === 2);
    expect(await rows()).toMatchObject([{ from: 11, to: 20, status: 'open' }]);
    expect(life.gaps.report()).toMatchObject({ reasons: [], status: { open: 1, missing: 10 } });
  });
});
