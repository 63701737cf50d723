/** A mirror with its log at hand, and a database with the tables that it copies. */
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { configSchema } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics.ts';
import { createKeyspace } from '../../src/schema/keyspace.ts';
import { createMirrored } from '../../src/schema/keyspace/mirrored.ts';
import { migrate } from '../../src/schema/migrate.ts';
import { createMirror } from '../../src/writers/mirror.ts';
import { createDatabase, type TestDatabase, waitFor } from './stack.ts';

/** Users 1 to 3 are in it. */
export async function mirroredDatabase(): Promise<TestDatabase> {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  await migrate({
    clientConfig: { connectionString: database.url },
    logger: pino({ level: 'silent' }),
  });
  await database.query(
    `INSERT INTO users (username, email, password_hash)
     SELECT n::text, n::text, 'x' FROM generate_series(1, 3) AS n`,
  );
  return database;
}

export interface MirrorSettings {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly keyPrefix?: string;
  readonly statementTimeoutMs?: number;
}

/** Not waited for: it may have nothing to talk to. */
export async function startMirror(settings: MirrorSettings) {
  const { databaseUrl, redisUrl, keyPrefix = '', statementTimeoutMs = 5_000 } = settings;
  const config = configSchema.parse({
    database: { url: databaseUrl, statementTimeoutMs },
    redis: { url: redisUrl, keyPrefix },
  });
  const metrics = createMetrics('binance');
  const log: string[] = [];
  const destination = { write: (line: string) => void log.push(line) };
  const mirror = createMirror({
    database: config.database,
    redis: config.redis,
    keys: createMirrored(createKeyspace(keyPrefix)),
    schemaReady: Promise.resolve(),
    applicationName: 'test-mirror',
    metrics,
    logger: createLogger({ level: 'trace', destination }),
  });
  const stop = () => mirror.stop(AbortSignal.timeout(2_000));
  onTestFinished(stop);
  await mirror.start(AbortSignal.timeout(10_000));
  const state = () => mirror.report().status['state'];
  return {
    metrics,
    log,
    stop,
    state,
    report: () => mirror.report(),
    is: (wanted: string, timeoutMs = 10_000) =>
      waitFor(() => state() === wanted, { what: `a mirror that is ${wanted}`, timeoutMs }),
  };
}

export async function startActiveMirror(settings: MirrorSettings) {
  const started = await startMirror(settings);
  await started.is('active');
  return started;
}

/** Every hash and set of the logical database, by key. */
export async function contentsOf(client: Redis): Promise<Record<string, unknown>> {
  const contents: Record<string, unknown> = {};
  for (const key of (await client.keys('*')).toSorted()) {
    const type = await client.type(key);
    if (type === 'hash') contents[key] = await client.hgetall(key);
    if (type === 'set') contents[key] = (await client.smembers(key)).toSorted();
    if (type === 'string') contents[key] = await client.get(key);
  }
  return contents;
}

/** What is promised of any change. */
export function withinASecond(what: string, condition: () => Promise<unknown>) {
  return waitFor(condition, { what, timeoutMs: 1_000 });
}
