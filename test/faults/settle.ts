/** The end of a scenario: everything must arrive, and then everything is looked at. */
import type { Limits } from './bounds.ts';
import { LIMITS } from './bounds.ts';
import { CANARIES, type Life } from './daemon.ts';
import type { Flow } from './flow.ts';
import { compare, faultsOf, lostRows, type Verdict } from './oracle.ts';
import { until } from './world.ts';

export interface Settled {
  readonly verdict: Verdict;
  readonly refilled: number;
  readonly problems: readonly string[];
  /** For whoever looks into it: file name -> text. */
  readonly evidence: Readonly<Record<string, string>>;
}

export interface Expectations {
  readonly withoutRefill: boolean;
  readonly limits: Partial<Limits>;
}

/** A backlog may have to be stored, and candles be compared with the history. */
const FORGOTTEN = 'the server lacks what was stored: storing again all that the spool still has';
const ARRIVE_MS = 90_000;
const CRASHED = /unhandled|uncaught|heap out of memory|"level":"fatal"/i;

export async function settle(flow: Flow, expected: Expectations): Promise<Settled> {
  const problems: string[] = [];
  const { exchange } = flow;
  // After the last fault it must go on by itself.
  await flow.flowing();
  await exchange.setRate(0);
  const candlesTo = Date.now();
  const question = {
    databaseUrl: flow.postgres.url,
    journalPath: exchange.journalPath,
    candlesFrom: flow.candlesFrom() ?? candlesTo + 1,
    candlesTo,
  };
  const arrived = await until(
    'all to be stored',
    async () => (await hasArrived(flow)) && faultsOf(await compare(question)).length === 0,
    { timeoutMs: ARRIVE_MS, everyMs: 500 },
  ).catch(() => false);
  if (!arrived) problems.push(`not all was stored within ${ARRIVE_MS / 1000} s`);

  problems.push(...(await accounts(flow, expected)));
  const said: string[] = [];
  for (const life of running(flow))
    said.push(await life.page('/status'), await life.page('/metrics'));
  for (const life of running(flow))
    await life.stop().catch((error: Error) => void problems.push(error.message));

  const pages = said.join('\n');
  const verdict = await compare(question);
  problems.push(...faultsOf(verdict));
  const { rows: refilled, unfillable } = await gapsOf(flow);
  if (unfillable > 0) problems.push(`${unfillable} gaps were given up`);
  if (expected.withoutRefill && refilled > 0) {
    problems.push(`${refilled} accepted rows were lost, and had to be asked for again`);
  }
  if (expected.withoutRefill && flow.lives.some((life) => life.logged(FORGOTTEN))) {
    problems.push('the server forgot what it had committed');
  }
  problems.push(...flow.watch.problems({ ...LIMITS, ...expected.limits }));
  for (const life of flow.lives) said.push(await life.everythingSaid());
  problems.push(...talkOf(said.join('\n')));
  const evidence = {
    'pages.txt': pages,
    'lost.txt': problems.length > 0 ? await lostRows(question) : '',
  };
  return { verdict, refilled, problems, evidence };
}

const running = ({ lives }: Flow): Life[] => lives.filter((life) => !life.hasEnded());

async function hasArrived(flow: Flow): Promise<boolean> {
  const emitted = await flow.exchange.emitted();
  const query = `SELECT (SELECT count(*) FROM trades) >= ${emitted}
    AND NOT EXISTS (SELECT FROM ingest_gaps WHERE status = 'open')`;
  return (await flow.query(query)) === 't';
}

/** Every row that was received is accounted for, of each daemon. */
async function accounts(flow: Flow, { withoutRefill }: Expectations): Promise<string[]> {
  const problems: string[] = [];
  for (const life of running(flow)) {
    const error = await life.metric('hyperfeed_accounting_error_rows');
    if (error !== undefined && error !== 0) problems.push(`${error} rows are not accounted for`);
    // Of its own log, it stores no more than so many lines.
    const dropped =
      ((await life.metric('hyperfeed_rows_dropped_total')) ?? 0) -
      ((await life.metric('hyperfeed_rows_dropped_total', 'log_limit')) ?? 0);
    if (dropped > 0 && withoutRefill) problems.push(`${dropped} rows were dropped`);
    // Its own log is stored too, a moment later.
    await until(
      'nothing to wait in the spool',
      async () => (await life.metric('hyperfeed_spool_rows_pending')) === 0,
    ).catch(() => problems.push('rows wait in the spool, and all are stored'));
  }
  return problems;
}

export async function gapsOf(flow: Flow) {
  return flow.row<{ gaps: number; rows: number; unfillable: number }>(
    `SELECT count(*)::int AS gaps, coalesce(sum(rows_filled), 0)::int AS rows,
            count(*) FILTER (WHERE status = 'unfillable')::int AS unfillable FROM ingest_gaps
      WHERE channel = 'trades'`,
  );
}

function talkOf(text: string): string[] {
  const problems: string[] = [];
  for (const [whose, secret] of Object.entries(CANARIES)) {
    if (text.includes(secret)) problems.push(`the secret of ${whose} was said`);
  }
  const crash = text.split('\n').find((line) => CRASHED.test(line));
  if (crash !== undefined) problems.push(`crash: ${crash.slice(0, 300)}`);
  return problems;
}
