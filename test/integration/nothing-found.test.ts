/** Commands that find nothing say so, and why: nothing found must not pass for nothing wrong. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { environmentOf, runHyperfeed, temporaryFolder } from '../support/daemon.ts';
import { createMigrated } from '../support/schema.ts';
import { freePort } from '../support/stack.ts';

/** The settings of an exchange where nobody listens. */
async function unreachable(): Promise<Record<string, string>> {
  const nowhere = `127.0.0.1:${await freePort()}`;
  return environmentOf({
    'connection.restUrl': `http://${nowhere}`,
    'connection.wsUrl': `ws://${nowhere}`,
  });
}

async function migrated() {
  const database = await createMigrated(true);
  onTestFinished(() => database.drop());
  return { database, env: { DATABASE_URL: database.url } };
}

test('gaps list: by any name of the exchange, by symbols, by channels; an unknown exchange is told', async () => {
  const { database, env } = await migrated();
  for (const [exchange, channel, symbol] of [
    ['coinbase-exchange', 'trades', 'BTC/USD'],
    ['coinbase-exchange', 'candles', 'BTC/USD'],
    ['coinbase-exchange', 'trades', 'ETH/USD'],
    ['ccxt-gate', 'trades', 'BTC/USDT'],
    ['binance-simulated', 'trades', 'BTC/USDT'],
  ]) {
    await database.query(
      `INSERT INTO ingest_gaps (exchange, channel, symbol, from_time, to_time, status, reason, detected_at, closed_at)
       VALUES ($1, $2, $3, now(), now(), 'unfillable', 'spool_full', now(), now())`,
      [exchange, channel, symbol],
    );
  }
  const list = async (...flags: string[]) => {
    const { code, stdout, stderr } = await runHyperfeed(['gaps', 'list', '--json', ...flags], {
      env,
    });
    return { code, found: stdout.length, warned: stderr.join() };
  };
  const found = (count: number) => ({ code: 0, found: count, warned: '' });
  expect(await list('-e', 'coinbase')).toEqual(found(3));
  expect(await list('-e', 'coinbase', '-s', 'BTC/USD')).toEqual(found(2));
  expect(await list('-s', 'BTC/USD,ETH/USD', '--channels', 'trades')).toEqual(found(2));
  expect(await list('-e', 'ccxt-gate')).toEqual(found(1));
  expect(await list('-e', 'binance-simulated')).toEqual(found(1));
  expect(await list('-e', 'coinbse')).toEqual({
    code: 0,
    found: 0,
    warned: expect.stringMatching(/^unknown exchange coinbse; nearest: coinbase,/) as string,
  });
});

test('quarantine replay of a row that does not wait: exit 1, and which', async () => {
  const { env } = await migrated();
  const { code, stdout } = await runHyperfeed(['quarantine', 'replay', '99'], { env });
  expect([code, stdout[0]]).toEqual([1, expect.stringMatching(/^99: no such row waits/)]);
});

test('symbols, and backfill, of an exchange that cannot be reached: soon, which and why', async () => {
  const { env } = await migrated();
  const nowhere = await unreachable();
  const symbols = await runHyperfeed(['symbols'], { env: nowhere });
  expect([symbols.code, symbols.stderr.join()]).toEqual([
    1,
    expect.stringMatching(/the markets of binance could not be had: .*ECONNREFUSED.*doctor/),
  ]);
  const backfill = await runHyperfeed(['backfill', '--from', '1h ago', '--json'], {
    env: { ...env, ...nowhere },
  });
  expect(backfill.code).toBe(1);
  expect(JSON.parse(backfill.stderr.at(-1) ?? '')).toEqual({
    error: {
      code: 'rest_failed',
      message: expect.stringMatching(/asked 4 times.*ECONNREFUSED/) as string,
    },
  });
});

test('record to which no frame came: exit 1', async () => {
  const file = join(await temporaryFolder(), 'empty.jsonl');
  const { code, stderr } = await runHyperfeed(['record', '-o', file, '--seconds', '1'], {
    env: await unreachable(),
  });
  expect([code, stderr.at(-1)]).toEqual([
    1,
    expect.stringMatching(/^\d+ lines in .*, 0 of them frames that binance sent$/),
  ]);
});
