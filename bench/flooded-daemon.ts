/** The daemon as a process, fed by flood.ts, on PostgreSQL and Redis. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { createKeyspace } from '../src/schema/keyspace.ts';
import { type Daemon, type Settings, startDaemon } from './daemon.ts';
import { type Probe, startFlood } from './flood-exchange.ts';
import type { BenchContext } from './harness.ts';
import { watchKeys } from './key-watch.ts';
import { EXCHANGE, symbolsOf } from './rows.ts';
import { connected } from './servers.ts';

const SYMBOLS = symbolsOf(20);
/** They tick now and then, and their keys are watched. */
const PROBES = Array.from({ length: 200 }, (_, i) => `P${String(i).padStart(3, '0')}/USDT`);
const KEYS = createKeyspace();
const priceKey = (symbol: string) => KEYS.price(EXCHANGE, symbol);

export interface Running {
  readonly daemon: Daemon;
  readonly flood: Awaited<ReturnType<typeof startFlood>>;
  readonly database: Client;
  readonly url: string;
  readonly redisUrl: string;
}

/** With a fresh database and a daemon that has run warm. */
export async function withDaemon<T>(
  context: BenchContext,
  { name, settings }: { readonly name: string; readonly settings?: Settings },
  work: (running: Running) => Promise<T>,
): Promise<T> {
  const servers = await context.servers();
  const { connectionString: url } = await servers.database(name);
  const { redisUrl } = servers;
  const flood = await startFlood(SYMBOLS, PROBES);
  const daemon = await startDaemon({
    ...flood.settings,
    ...settings,
    channels: ['trades'],
    'database.url': url,
    'redis.url': redisUrl,
    'spool.directory': await context.folder('spool'),
  });
  const database = await connected({ connectionString: url });
  try {
    await live(daemon);
    const warm = context.quick ? 10_000 : 50_000;
    await flood.send({ count: warm });
    await stored(database, warm);
    return await work({ daemon, flood, database, url, redisUrl });
  } finally {
    await daemon.stop();
    await flood.stop();
    await database.end();
  }
}

/** Until every stream is acknowledged. */
async function live(daemon: Daemon): Promise<void> {
  const wanted = SYMBOLS.length + PROBES.length;
  while ((await daemon.metrics()).value('streams', 'state="live"') < wanted) await sleep(20);
}

/** Until this many trades are committed. */
export async function stored(database: Client, count: number): Promise<void> {
  for (;;) {
    const { rows } = await database.query<{ stored: string }>(
      `SELECT sum(last_id - 999999999)::bigint AS stored FROM ingest_cursor`,
    );
    if (Number(rows[0]?.stored) >= count) return;
    await sleep(20);
  }
}

/** Every trade is a row, once. */
export async function check(database: Client, expected: number): Promise<void> {
  const rows = await counted(database);
  if (rows !== expected) throw new Error(`${rows} rows of ${expected} trades`);
}

export async function counted(database: Client): Promise<number> {
  const { rows } = await database.query<{ count: string }>('SELECT count(*) FROM trades');
  return Number(rows[0]?.count);
}

/** Returns how to have what was seen: milliseconds from each probe's tick to its key. */
export async function watchProbes(
  redisUrl: string,
): Promise<(probes: readonly Probe[]) => Promise<number[]>> {
  // A new connection to Redis writes all keys once more, a second later.
  await sleep(1_500);
  const watched = await watchKeys(redisUrl, PROBES.map(priceKey));
  return (probes) =>
    watched(probes.map(([symbol, at, timestamp]) => ({ key: priceKey(symbol), at, timestamp })));
}
