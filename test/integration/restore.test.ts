/** A backup of the database is restored under a daemon that goes on: what came after it is stored again. */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { rowsOf, simulate, startDaemon, storedTrades } from '../support/daemon.ts';
import { ownPostgres } from '../support/own-servers.ts';
import { createDatabase, waitFor } from '../support/stack.ts';

const run = promisify(execFile);

test.each([
  { spool: 'has it still', retainSeconds: 3600 },
  { spool: 'has forgotten it too', retainSeconds: 0 },
])('what the backup lacks, when the spool $spool', async ({ retainSeconds }) => {
  const simulation = await simulate({ tradesPerSecond: 100 });
  const server = await ownPostgres();
  const database = await createDatabase({ serverUrl: server.url });
  await startDaemon({
    ...simulation.settings,
    channels: ['trades'],
    'database.url': database.url,
    'spool.retainSeconds': retainSeconds,
    'spool.segmentBytes': 65_536,
  });
  const stored = async () => (await storedTrades(database)).length;
  // There is no schema before it connects.
  await waitFor(async () => (await stored().catch(() => 0)) > 100, { what: 'trades' });

  const backup = `${server.dataDirectory}-backup`;
  await server.stop();
  await run('cp', ['-a', server.dataDirectory, backup]);
  await server.restart();
  const before = await stored();
  // Several segments of the spool.
  await simulation.burst('BTC/USDT', 3_000);
  await waitFor(async () => (await stored()) > before + 3_000, {
    what: 'trades after the backup',
    timeoutMs: 20_000,
  });

  await server.stop();
  await rm(server.dataDirectory, { recursive: true });
  await run('cp', ['-a', backup, server.dataDirectory]);
  await server.restart();
  expect(await stored()).toBe(before);

  await waitFor(async () => (await stored()) > before + 3_000, {
    what: 'them again',
    timeoutMs: 30_000,
  });
  simulation.setRate(0);
  const expected = rowsOf(await simulation.journal());
  const first = new Map<string, number>();
  for (const [symbol, id] of await storedTrades(database)) {
    if (!first.has(symbol)) first.set(symbol, Number(id));
  }
  const due = expected.filter(([symbol, id]) => Number(id) >= (first.get(symbol) ?? Infinity));
  await waitFor(async () => (await stored()) >= due.length, {
    what: 'all of them',
    timeoutMs: 30_000,
  });
  expect(await storedTrades(database)).toEqual(due);
  const gaps = await database.query('SELECT status FROM ingest_gaps');
  // From the spool there is no gap; from the exchange there was one, and it is closed.
  if (retainSeconds > 0) expect(gaps).toEqual([]);
  else expect(gaps).toContainEqual({ status: 'filled' });
});
