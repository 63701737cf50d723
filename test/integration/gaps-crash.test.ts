/**
 * The promise: whatever happens to the daemon, its sockets and its database, every trade that the
 * exchange made is stored exactly once. The exchange is a process of its own, which no fault touches;
 * its journal is compared with the table by SQL alone.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  freshDatabase,
  type Settings,
  spawnDaemon,
  spawnSimulation,
  temporaryFolder,
} from '../support/daemon.ts';
import { ownPostgres } from '../support/own-servers.ts';
import { createRandom } from '../support/random.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';

const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT'];
const KILLS = 20;
const TRADES_PER_SECOND = 1_000;

/** The journal as a table, and how it differs from what is stored, to the digit. */
async function compare(database: TestDatabase, journal: string) {
  await database.query('DROP TABLE IF EXISTS journal');
  await database.query(
    `CREATE TABLE journal AS
     SELECT symbol, id, side, price, qty, to_timestamp(time / 1000) + time % 1000 * INTERVAL '1 ms' AS time
       FROM jsonb_to_recordset($1::jsonb)
         AS t (type text, symbol text, id text, side text, price text, qty text, time bigint)
      WHERE type = 'trade'`,
    [`[${journal.trimEnd().split('\n').join(',')}]`],
  );
  const [row] = await database.query<Record<string, string>>(
    `SELECT (SELECT count(*) FROM journal) AS emitted,
       (SELECT count(*) FROM trades) AS stored,
       (SELECT count(*) FROM (SELECT symbol, id FROM journal EXCEPT SELECT symbol, trade_id FROM trades) m) AS lost,
       (SELECT count(*) FROM (SELECT FROM trades GROUP BY symbol, trade_id HAVING count(*) > 1) d) AS doubled,
       (SELECT count(*) FROM journal JOIN trades t ON t.symbol = journal.symbol AND t.trade_id = id
         WHERE (t.side, t.price::text, t.quantity::text, t.time) <> (journal.side, journal.price, qty, journal.time)) AS changed`,
  );
  return Object.fromEntries(Object.entries(row ?? {}).map(([key, value]) => [key, Number(value)]));
}

test(
  `${KILLS} kills, cut sockets, skipped trades, a crash of PostgreSQL: 0 lost, 0 doubled`,
  { timeout: 180_000 },
  async () => {
    const startedAt = performance.now();
    const seed = Date.now() % 1_000_000;
    console.log(`kills by seed ${seed}`);
    const random = createRandom(seed);
    const server = await ownPostgres();
    const database = await freshDatabase({ serverUrl: server.url });
    const simulation = await spawnSimulation({ seed, rate: 0, symbols: SYMBOLS });
    const settings: Settings = {
      ...simulation.settings,
      channels: ['trades'],
      'database.url': database.url,
      'spool.directory': await temporaryFolder(),
      'spool.segmentBytes': 262_144,
      'log.level': 'info',
    };
    const done = { kills: 0, cuts: 0, skipped: 0, crashes: 0 };
    const pick = () => SYMBOLS[Math.floor(random() * SYMBOLS.length)] ?? '';
    const stored = (since: string) => async () =>
      (await database.query('SELECT FROM trades WHERE time > $1 LIMIT 1', [since])).length > 0;

    for (let life = 0; life < KILLS; life++) {
      const daemon = await spawnDaemon(settings);
      // Most in full flow; every fourth at any moment of the start, recovery included.
      if (life === 0 || life % 4 !== 3) {
        await simulation.subscribed(SYMBOLS.length).catch((error: unknown) => {
          throw new Error(`life ${life}: ${daemon.stdout.join('\n')}${daemon.stderr.join('\n')}`, {
            cause: error,
          });
        });
        if (life === 0) {
          // What was before the first trade that was ever stored is promised by nobody.
          for (const symbol of SYMBOLS) await simulation.control('burst', symbol, 1);
          await waitFor(
            async () =>
              (await database.query('SELECT DISTINCT symbol FROM trades').catch(() => []))
                .length === SYMBOLS.length,
            { what: 'the first trades', timeoutMs: 20_000 },
          );
          await simulation.control('setRate', TRADES_PER_SECOND);
        }
        await waitFor(stored(new Date().toISOString()), { what: 'flow', timeoutMs: 30_000 });
        const skip = 1 + Math.floor(random() * 50);
        await simulation.control('skipNextTrades', pick(), skip);
        done.skipped += skip;
        if (life % 3 === 1) {
          await sleep(random() * 200);
          done.cuts += Number(await simulation.control('dropConnections'));
        }
        if (life === 10) {
          await server.stop('immediate');
          await sleep(500);
          await server.restart();
          done.crashes++;
        }
      }
      await sleep(random() * 600);
      daemon.kill('SIGKILL');
      expect(await daemon.ended).toEqual({ code: null, signal: 'SIGKILL' });
      done.kills++;
    }

    const last = await spawnDaemon(settings);
    await simulation.subscribed(SYMBOLS.length);
    await waitFor(stored(new Date().toISOString()), { what: 'flow', timeoutMs: 30_000 });
    await simulation.control('setRate', 0);
    const journal = await readFile(simulation.journalPath, 'utf8');
    const emitted = journal.split('\n').filter((line) => line.includes('"trade"')).length;
    await waitFor(
      async () => {
        const [row] = await database.query<{ done: boolean }>(
          `SELECT (SELECT count(*) FROM trades) >= $1
             AND NOT EXISTS (SELECT FROM ingest_gaps WHERE status = 'open') AS done`,
          [emitted],
        );
        return row?.done;
      },
      { what: 'all to be stored', timeoutMs: 60_000 },
    );
    last.kill('SIGTERM');
    expect(await last.ended).toEqual({ code: 0, signal: null });

    const result = await compare(database, journal);
    const gaps = await database.query<{ status: string; gaps: number; rows: number }>(
      `SELECT status, count(*)::int AS gaps, sum(rows_filled)::int AS rows FROM ingest_gaps GROUP BY status`,
    );
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    console.log(JSON.stringify({ seed, ...done, ...result, gaps, seconds }));
    expect(result).toEqual({
      emitted,
      stored: emitted,
      lost: 0,
      doubled: 0,
      changed: 0,
    });
    expect(gaps).toMatchObject([{ status: 'filled' }]);
    // The faults took place.
    expect(done).toMatchObject({ kills: KILLS, crashes: 1 });
    expect(done.cuts).toBeGreaterThan(3);
    expect(gaps[0]?.rows).toBeGreaterThan(done.skipped);
  },
);
