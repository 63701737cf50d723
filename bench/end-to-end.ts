/**
 * The whole daemon as a process, an exchange in another: sockets to committed rows and keys, all of it,
 * the exchange, PostgreSQL and Redis included, on this machine. Flat out against psql `\copy` of the
 * same rows; and paced, for latencies.
 */
import { TABLES } from '../src/writers/tables.ts';
import { quantileBetween } from './daemon.ts';
import { check, counted, type Running, stored, watchProbes, withDaemon } from './flooded-daemon.ts';
import {
  type Bench,
  type BenchContext,
  compare,
  type Finding,
  finding,
  type Goal,
  quantile,
  type Sample,
} from './harness.ts';
import { writersOf } from './parts.ts';
import { cpuOf } from './proc.ts';
import { psqlCopy, psqlExport } from './psql.ts';
import { connected } from './servers.ts';

const DATABASE = 'bench_end_to_end';

export const bench: Bench = {
  name: 'end-to-end',
  about: 'sockets to committed rows and keys',
  async *run(context) {
    yield* flat(context, 1, '>= 0.85');
    yield* flat(context, 2, '>= 1.2');
    yield* paced(context, 5_000, '<= 150');
    yield* paced(context, 50_000, '<= 120');
  },
};

async function* flat(context: BenchContext, lanes: number, goal: Goal): AsyncGenerator<Finding> {
  const runs: Flat[] = [];
  const count = context.quick ? 50_000 : 600_000;
  const name = `flat out, ${lanes} ${lanes === 1 ? 'lane' : 'lanes'}`;
  yield await compare(context, {
    what: `${name}: ${count / 1000},000 trades`,
    unit: 'trades/s',
    limitName: 'psql \\copy',
    goal,
    async ours(round) {
      const run = await withDaemon(
        context,
        { name: DATABASE, settings: { 'database.lanes': lanes } },
        (running) => flatOut(running, count),
      );
      if (round > 0) runs.push(run);
      return run;
    },
    limit: () => reload(context, count),
  });
  const of = (what: string, unit: string, about: Goal | undefined, values: number[]): Finding =>
    finding({
      what: `${name}: ${what}`,
      unit,
      goal: about,
      ours: values.map((value) => ({ value })),
    });
  yield of(
    'CPU of the daemon',
    'node µs',
    '<= 4.5',
    runs.map((run) => run.node),
  );
  yield of(
    'tick to key, p99',
    'ms',
    '<= 25',
    runs.map((run) => run.keyMs),
  );
}

interface Flat extends Sample {
  readonly node: number;
  readonly keyMs: number;
}

async function flatOut(running: Running, count: number): Promise<Flat> {
  const { daemon, flood, database, url } = running;
  const before = await counted(database);
  await database.query('CHECKPOINT');
  const writers = await writersOf(url);
  const serverCpu = () => writers.reduce((sum, pid) => sum + cpuOf(pid), 0);
  const metrics = await daemon.metrics();
  const cpu = { node: daemon.cpu(), server: serverCpu() };
  const startedAt = performance.now();
  await flood.send({ count });
  await stored(database, before + count);
  const seconds = (performance.now() - startedAt) / 1000;
  const node = (daemon.cpu() - cpu.node) / count;
  const server = (serverCpu() - cpu.server) / count;
  await check(database, before + count);
  const after = await daemon.metrics();
  const keyMs = quantileBetween(metrics, after, 'redis_latency_seconds', 0.99) * 1000;
  const details = { 'node µs': node, 'server µs': server };
  return { value: count / seconds, node, keyMs, details };
}

/** Rows that the daemon stored, by psql. */
async function reload(context: BenchContext, count: number): Promise<Sample> {
  const url = new URL((await context.servers()).databaseUrl);
  url.pathname = `/${DATABASE}`;
  const database = await connected({ connectionString: url.href });
  try {
    const file = `${await context.folder('rows')}/trades.copy`;
    const columns = TABLES.trade.columns.join(', ');
    // As they came.
    const rows = `SELECT ${columns} FROM trades ORDER BY trade_id::bigint DESC, symbol LIMIT ${count}`;
    await psqlExport(
      url.href,
      `SELECT * FROM (${rows}) AS rows ORDER BY trade_id::bigint, symbol`,
      file,
    );
    await database.query('TRUNCATE trades');
    await database.query('CHECKPOINT');
    return await psqlCopy({ url: url.href, table: TABLES.trade, file, rows: count });
  } finally {
    await database.end();
  }
}

async function* paced(
  context: BenchContext,
  perSecond: number,
  goal: Goal,
): AsyncGenerator<Finding> {
  const runs: Paced[] = [];
  for (let round = 1; round <= Math.min(3, context.rounds); round++) {
    context.progress(`end to end at ${perSecond} trades/s: ${round}`);
    const seconds = context.quick ? 3 : 10;
    runs.push(
      await withDaemon(context, { name: DATABASE }, (running) =>
        steady(running, perSecond, seconds),
      ),
    );
  }
  const at = `at ${perSecond.toLocaleString('en-US')} trades/s`;
  yield finding({
    what: `${at}: received to committed, p99`,
    unit: 'ms',
    goal,
    ours: runs.map(({ commitMs, commitP50, node }) => ({
      value: commitMs,
      details: { 'p50 ms': commitP50, 'node µs': node },
    })),
  });
  yield finding({
    what: `${at}: sent by the exchange to key, p99`,
    unit: 'ms',
    ours: runs.map(({ keyMs, keyP50 }) => ({ value: keyMs, details: { 'p50 ms': keyP50 } })),
  });
}

interface Paced {
  readonly commitMs: number;
  readonly commitP50: number;
  readonly keyMs: number;
  readonly keyP50: number;
  readonly node: number;
}

async function steady(running: Running, perSecond: number, seconds: number): Promise<Paced> {
  const { daemon, flood, database, redisUrl } = running;
  const watched = await watchProbes(redisUrl);
  const before = await counted(database);
  const metrics = await daemon.metrics();
  const cpu = daemon.cpu();
  const count = perSecond * seconds;
  const { probes } = await flood.send({ count, perSecond, withProbes: true });
  const node = (daemon.cpu() - cpu) / count;
  await stored(database, before + count);
  await check(database, before + count);
  const after = await daemon.metrics();
  const taken = await watched(probes);
  return {
    node,
    commitMs: quantileBetween(metrics, after, 'commit_latency_seconds', 0.99) * 1000,
    commitP50: quantileBetween(metrics, after, 'commit_latency_seconds', 0.5) * 1000,
    keyMs: quantile(taken, 0.99),
    keyP50: quantile(taken, 0.5),
  };
}
