/** Every recipe of docs/cookbook.md, run as it stands there: its columns, and the sense of its result. */
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { SENSE, type Facts, readFacts } from '../support/cookbook-sense.ts';
import { fillDatabase, readRecipes, SYMBOLS } from '../support/cookbook.ts';
import { createMigrated, ENGINES } from '../support/schema.ts';
import { waitFor } from '../support/stack.ts';

const recipes = readRecipes();
const sql = recipes.filter(({ language }) => language === 'sql');
const TIMESCALE_ONLY = /time_bucket|timescaledb_information/;

async function fill(timescale: boolean) {
  const database = await createMigrated(timescale);
  onTestFinished(() => database.drop());
  return { database, ...(await fillDatabase(database)) };
}

test('no recipe is without its check', () => {
  expect(sql.length).toBeGreaterThan(15);
  expect([...new Set(sql.map(({ title }) => title))]).toEqual(Object.keys(SENSE));
});

describe.each(ENGINES)('SQL on $engine', ({ timescale }) => {
  test('every query: the columns that are shown, and a result that is right', async () => {
    const { database, simulation, tested } = await fill(timescale);
    simulation.setRate(0);
    await tested.drained();
    await tested.daemon.stop();
    const [removed] = await database.query<{ time: Date }>(
      `DELETE FROM market_data
        WHERE symbol = 'BTC/USDT' AND time = date_trunc('minute', now()) - INTERVAL '9 minutes'
       RETURNING time`,
    );
    const client = new Client({ connectionString: database.url });
    await client.connect();
    onTestFinished(() => client.end());
    // One moment for all: now() is when the transaction began.
    await client.query('BEGIN');
    const facts: Facts = await readFacts(client, removed?.time.getTime() ?? 0);
    for (const { title, code, output } of sql) {
      if (!timescale && TIMESCALE_ONLY.test(code)) continue;
      const { fields, rows } = await client.query<Record<string, string>>(code);
      const [header = ''] = output.split('\n');
      const shown = header.split('|').map((column) => column.trim());
      expect(shown, title).toEqual(fields.map(({ name }) => name));
      expect(rows, title).not.toEqual([]);
      SENSE[title]?.(rows, facts);
    }
  });
});

test('Redis: every command, on what a daemon keeps there', async () => {
  const { redisUrl } = await fill(true);
  const redis = new Redis(redisUrl);
  onTestFinished(() => redis.disconnect());
  const run = async (title: string) => {
    const { code = '' } =
      recipes.find((one) => one.language === 'redis' && one.title === title) ?? {};
    const replies: unknown[] = [];
    for (const line of code.split('\n')) {
      const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, a, b]) => a ?? b ?? '');
      replies.push(await redis.call(words[0] ?? '', words.slice(1)));
    }
    return replies;
  };
  const price = expect.stringMatching(/^6\d{4}\.\d{8}$/) as string;
  const recent = expect.stringMatching(/^\d{13}$/) as string;
  const [last] = (await run('Last price')) as [string[]];
  expect(last.slice(0, 4)).toEqual(['price', price, 'timestamp', recent]);
  const [book] = (await run('Top of book')) as [[string, string, string]];
  const [bids, asks, at] = book;
  const best = (side: string) => Number((JSON.parse(side) as string[][])[0]?.[0]);
  expect(best(bids)).toBeLessThan(best(asks));
  expect(at).toEqual(recent);
  expect((await run('Price and book of one moment')).at(-1)).toEqual([price, recent]);
  const [scanned] = (await run('Every symbol of an exchange')) as [[string, string[]]];
  const [cursor, keys] = scanned;
  expect(cursor).toBe('0');
  expect(keys.toSorted()).toEqual(SYMBOLS.map((symbol) => `price:binance:${symbol}`));
  const [age] = await run('How old is it');
  expect(age).toBeGreaterThan(-1000);
  expect(age).toBeLessThan(60_000);
  await waitFor(async () => (await run('What the daemon says of itself'))[0], { what: 'metrics' });
  await waitFor(
    async () => ((await run('What the daemon says of itself'))[0] as string[])[1] === '6',
    { what: 'the streams of the daemon' },
  );

  const messages: string[][] = [];
  redis.on('message', (channel, message) => messages.push([channel, message]));
  await run('Follow every change');
  const [channel, message = ''] = await waitFor(() => messages[0], { what: 'a change' });
  expect(channel).toBe('price:binance:BTC/USDT');
  expect(JSON.parse(message)).toMatchObject({ price, timestamp: recent });
});
