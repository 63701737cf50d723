/**
 * PostgreSQL stops while an exchange goes on at a high rate: rows wait on disk, memory stays as it is,
 * keys are as fast as before, and when it is back everything is stored, once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf, signalProcess } from '../src/embedded/process-table.ts';
import { check, counted, type Running, stored, watchProbes, withDaemon } from './flooded-daemon.ts';
import { type Bench, finding, quantile } from './harness.ts';

const PER_SECOND = 50_000;

export const bench: Bench = {
  name: 'backpressure',
  about: 'PostgreSQL stopped under load',
  async *run(context) {
    const seconds = context.quick ? 5 : context.large ? 600 : 20;
    const seen = await withDaemon(context, { name: 'bench_backpressure' }, (running) =>
      outage(running, seconds, context.progress),
    );
    const what = `PostgreSQL stopped for ${seconds} s at ${PER_SECOND.toLocaleString('en-US')} trades/s`;
    yield finding({
      what: `${what}: resident memory`,
      unit: 'MB',
      goal: '<= 1.1',
      ours: [{ value: seen.memoryAtEnd, details: { 'spool MB': seen.spoolMb } }],
      limitName: 'half of the time before',
      limits: [{ value: seen.memoryHalfway }],
    });
    yield finding({
      what: `${what}: exchange to key, p99`,
      unit: 'ms',
      goal: '<= 2',
      ours: [{ value: seen.keyMs }],
      limitName: 'PostgreSQL running',
      limits: [{ value: seen.keyMsBefore }],
    });
    yield finding({
      what: 'then every trade stored once: caught up at',
      unit: 'trades/s',
      ours: [{ value: seen.caughtUpPerSecond }],
    });
  },
};

async function outage(running: Running, seconds: number, progress: (text: string) => void) {
  const { daemon, flood, database, redisUrl } = running;
  const before = await counted(database);
  const count = PER_SECOND * seconds;
  const send = () => flood.send({ count, perSecond: PER_SECOND, withProbes: true });
  const watched = await watchProbes(redisUrl);
  const quiet = await watched((await send()).probes);
  await stored(database, before + count);

  const servers = await serverProcesses(running);
  const watchedAgain = await watchProbes(redisUrl);
  const memory: number[] = [];
  let probes: Awaited<ReturnType<typeof send>>['probes'];
  for (const pid of servers) signalProcess(pid, 'SIGSTOP');
  try {
    const sending = send();
    for (let second = 0; second < seconds; second++) {
      progress(`PostgreSQL is stopped: ${second} of ${seconds} s`);
      await sleep(1_000);
      memory.push(daemon.memory() / 1e6);
    }
    ({ probes } = await sending);
  } finally {
    for (const pid of servers.toReversed()) signalProcess(pid, 'SIGCONT');
  }
  const metrics = await daemon.metrics();
  const startedAt = performance.now();
  await stored(database, before + 2 * count);
  const caughtUpSeconds = (performance.now() - startedAt) / 1000;
  await check(database, before + 2 * count);
  const late = memory.slice(Math.floor(seconds / 2));
  const half = Math.ceil(late.length / 2);
  return {
    memoryHalfway: quantile(late.slice(0, half), 0.5),
    memoryAtEnd: quantile(late.slice(half), 0.5),
    spoolMb: metrics.value('spool_bytes') / 1e6,
    keyMsBefore: quantile(quiet, 0.99),
    keyMs: quantile(await watchedAgain(probes), 0.99),
    caughtUpPerSecond: count / caughtUpSeconds,
  };
}

/** The server, and then its sessions. */
async function serverProcesses({ database }: Running): Promise<number[]> {
  const { rows } = await database.query<{ lock: string }>(
    `SELECT pg_read_file('postmaster.pid') AS lock`,
  );
  const postmaster = parseInt(rows[0]?.lock ?? '', 10);
  return [postmaster, ...(await childrenOf(postmaster))];
}
