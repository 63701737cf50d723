/**
 * Keeps in Redis a copy of what services ask for all the time: strategies, risk limits, sessions.
 *
 *   waiting -> connecting -> standby -> active --whatever is lost--> (backoff) -> connecting
 *   for the schema           for its turn
 *
 * Triggers tell which rows changed (schema/migrations, `mirror`); these are read, and written to
 * Redis. Whatever goes wrong ends the turn, and each turn begins with a comparison of everything, so
 * nothing that happened meanwhile is missed, nor a Redis that came back empty. The tables are the
 * truth: a key of these kinds without a row is removed.
 *
 * One daemon at a time does it for one schema and one Redis. Two would do no harm, but double work.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError } from 'pg';
import type { Config } from '../config.ts';
import { codeOf, HyperfeedError, messageOf, UsageError } from '../errors.ts';
import type { PartReport, Reason } from '../health.ts';
import type { Service } from '../lifecycle.ts';
import { createRateLimitedLogger, type Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { parseRedisUrl } from '../redis-url.ts';
import { withConnections } from './mirror-connections.ts';
import { type MirroredKeys, mirroredTables } from './mirror-tables.ts';
import { takeTurn } from './mirror-turn.ts';

export interface MirrorOptions {
  readonly database: Config['database'];
  readonly redis: Config['redis'];
  readonly keys: MirroredKeys;
  /** Resolves when the tables are there. */
  readonly schemaReady: Promise<void>;
  /** As PostgreSQL lists its sessions. */
  readonly applicationName: string;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface Mirror extends Service {
  report(): PartReport;
}

const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;
/** A turn that lasted this long was no failure. */
const WELL_AFTER_MS = 10_000;
const STOP_MS = 1_000;

export function createMirror(options: MirrorOptions): Mirror {
  const { database, metrics, applicationName } = options;
  const { redis } = options;
  if (redis.url === undefined) throw new UsageError('config_invalid', 'redis.url is not set');
  const logger = createRateLimitedLogger(options.logger.child({ part: 'mirror' }));
  const lockName = ` ${nameOf(redis.url)} ${redis.keyPrefix}`;
  const tables = mirroredTables(options.keys);
  const stopped = new AbortController();
  const { signal } = stopped;
  const servers = { database, redis, applicationName, logger, signal };
  let state: 'waiting' | 'connecting' | 'standby' | 'active' | 'stopped' = 'waiting';
  /** Why Redis may not be what the tables are. */
  let problem: Reason | undefined;
  let rows: Readonly<Record<string, number>> = {};
  let running: Promise<void> = Promise.resolve();

  function enter(next: typeof state): void {
    if (signal.aborted || state === next) return;
    state = next;
    metrics.mirrorActive.set(next === 'active' ? 1 : 0);
    if (next === 'standby') logger.info({}, 'another daemon mirrors');
    if (next === 'active') logger.info({ rows }, 'mirroring');
  }

  async function run(): Promise<void> {
    await options.schemaReady;
    enter('connecting');
    for (let failures = 0; !signal.aborted;) {
      const startedAt = performance.now();
      try {
        await withConnections(servers, (connections) =>
          takeTurn({
            ...connections,
            tables,
            statementTimeoutMs: database.statementTimeoutMs,
            lockName,
            onStandby() {
              problem = undefined;
              enter('standby');
            },
            onCopied,
            metrics,
            logger,
          }),
        );
      } catch (error) {
        if (signal.aborted) return;
        enter('connecting');
        problem = { code: 'mirror_down', severity: 'degraded', detail: describeFailure(error) };
        metrics.mirrorErrors.inc();
        failures = performance.now() - startedAt < WELL_AFTER_MS ? failures + 1 : 0;
        const longestMs = Math.min(MIN_BACKOFF_MS * 2 ** failures, MAX_BACKOFF_MS);
        const delayMs = Math.round(longestMs * (0.5 + Math.random() / 2));
        logger.warn({ err: error, delayMs }, 'mirror interrupted');
        await sleep(delayMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  function onCopied(copied: typeof rows, refused: HyperfeedError | undefined): void {
    rows = copied;
    problem = refused && { code: refused.code, severity: 'degraded', detail: refused.message };
    enter('active');
  }

  return {
    name: 'mirror',
    async start() {
      running = run();
    },
    async stop(deadline) {
      stopped.abort(new HyperfeedError('stopped', 'mirror stopped'));
      metrics.mirrorActive.set(0);
      // There is nothing to save: what is still open ends with the process.
      const late = Promise.withResolvers<void>();
      const patience = AbortSignal.any([deadline, AbortSignal.timeout(STOP_MS)]);
      patience.addEventListener('abort', () => late.resolve());
      if (state !== 'waiting' && !patience.aborted) await Promise.race([running, late.promise]);
      state = 'stopped';
    },
    report: () => ({
      // A copy that is behind keeps nobody from taking market data in.
      ready: true,
      reasons: problem ? [problem] : [],
      status: { state, rows },
    }),
  };
}

/** Of one Redis, however its servers are listed. */
function nameOf(url: string): string {
  const { hosts, primary = '', database } = parseRedisUrl(url);
  return `${hosts
    .map(({ host, port }) => `${host}:${port}`)
    .toSorted()
    .join()}/${primary}/${database}`;
}

/** Shown to whoever asks, so without the address that the message of a socket error names. */
function describeFailure(error: unknown): string {
  const isOurs = error instanceof DatabaseError || error instanceof HyperfeedError;
  return isOurs ? messageOf(error) : (codeOf(error) ?? 'connection lost');
}
