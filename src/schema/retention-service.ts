/**
 * Retention once a day. Every daemon asks each hour whether a day has passed since any of them did
 * it; the advisory lock and the table of jobs see to it that one does.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import type { PartReport } from '../health.ts';
import type { Service } from '../lifecycle.ts';
import type { Metrics } from '../metrics.ts';
import type { Mechanism, RetentionOptions, RetentionResult } from './retention.ts';
import { runRetention } from './retention.ts';

export interface RetentionService extends Service {
  report(): PartReport;
}

const ASK_MS = 3_600_000;
const DAY_MS = 24 * 3_600_000;

export function createRetention(
  options: Omit<RetentionOptions, 'signal' | 'dryRun' | 'onlyIfDue'> & {
    /** Nothing is asked of a database before it has its schema. */
    readonly schemaReady: Promise<void>;
    readonly metrics: Metrics;
  },
): RetentionService {
  const { schemaReady, metrics, logger } = options;
  const abort = new AbortController();
  let mechanism: Mechanism | undefined;
  let lastRunAt: number | undefined;
  let nextRunAt: number | undefined;
  let problem: string | undefined;
  let running: Promise<void> = Promise.resolve();

  async function run(): Promise<void> {
    await Promise.race([schemaReady, aborted(abort.signal)]);
    while (!abort.signal.aborted) {
      try {
        observe(await runRetention({ ...options, signal: abort.signal, onlyIfDue: true }));
      } catch (error) {
        if (abort.signal.aborted) return;
        problem = messageOf(error);
        metrics.retentionErrors.inc();
        logger.warn({ err: error }, 'retention failed');
      }
      await sleep(ASK_MS, undefined, { signal: abort.signal }).catch(() => undefined);
    }
  }

  function observe(result: RetentionResult): void {
    ({ mechanism } = result);
    for (const { table, parts, rows, problem: own } of result.tables) {
      metrics.retentionParts.inc({ table }, parts.length);
      metrics.retentionRows.inc({ table }, rows);
      if (own !== undefined) {
        metrics.retentionErrors.inc();
        logger.warn({ table, problem: own }, 'retention left something');
      }
    }
    problem = result.lastRun?.problem ?? undefined;
    lastRunAt = result.lastRun?.ran_at.getTime();
    if (lastRunAt === undefined) return;
    // It is asked for each hour, so it is up to an hour later.
    nextRunAt = lastRunAt + (problem === undefined ? DAY_MS : ASK_MS);
    metrics.retentionLastRun.set(lastRunAt / 1000);
    metrics.retentionNextRun.set(nextRunAt / 1000);
    if (result.outcome !== 'done') return;
    const removed = result.tables.filter(({ parts, rows }) => parts.length + rows > 0);
    logger.info({ mechanism, removed }, 'retention done');
  }

  return {
    name: 'retention',
    async start() {
      running = run();
    },
    async stop() {
      abort.abort();
      await running;
    },
    report() {
      const iso = (at: number | undefined) =>
        at === undefined ? null : new Date(at).toISOString();
      return {
        ready: true,
        // Disk fills slowly; the rows that come are not in danger.
        reasons:
          problem === undefined
            ? []
            : [{ code: 'retention', severity: 'degraded' as const, detail: problem }],
        status: { mechanism, lastRunAt: iso(lastRunAt), nextRunAt: iso(nextRunAt) },
      };
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
