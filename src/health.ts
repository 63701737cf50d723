/**
 * What the daemon says about itself. Each part reports from memory when asked; nothing is queried.
 *
 *   live     the event loop turns. Never depends on PostgreSQL, Redis or the exchange: a restart
 *            repairs none of them
 *   ready    every part is, and the daemon is not draining
 *   health   ok | degraded (a reason, and the promise holds) | failing (it does not, or will not)
 */
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';

export type Severity = 'degraded' | 'failing';

export interface Reason {
  /** From a closed set, for alerts; what changes is in `detail`. */
  readonly code: string;
  readonly severity: Severity;
  /** Shown to whoever asks: no credentials, no host names. */
  readonly detail: string;
}

export interface PartReport {
  readonly ready: boolean;
  readonly reasons: readonly Reason[];
  /** Anything that JSON can hold. */
  readonly status: Record<string, unknown>;
}

export interface HealthSummary {
  readonly status: 'ok' | Severity;
  readonly exchange: string;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly reasons: readonly (Reason & { readonly part: string })[];
}

export interface Health {
  /** `report` is called for each request: quick, and from memory. */
  register(part: string, report: () => PartReport): void;
  /** From now on neither ready nor healthy: the daemon is about to go. */
  setDraining(): void;
  isLive(): boolean;
  readiness(): { readonly ready: boolean; readonly checks: Record<string, boolean> };
  summary(): HealthSummary;
  status(): HealthSummary & { readonly parts: Record<string, Record<string, unknown>> };
  /** Stops watching the event loop. */
  close(): void;
}

const TICK_MS = 1_000;
const STUCK_AFTER_MS = 10_000;

const DRAINING: PartReport = {
  ready: false,
  reasons: [{ code: 'draining', severity: 'failing', detail: 'shutting down' }],
  status: {},
};

export function createHealth(options: {
  readonly exchange: string;
  readonly version: string;
  readonly metrics: Metrics;
  readonly logger: Logger;
}): Health {
  const { exchange, version, metrics, logger } = options;
  const parts = new Map<string, () => PartReport>();
  const startedAt = performance.now();
  let tickedAt = startedAt;
  const ticking = setInterval(() => {
    tickedAt = performance.now();
  }, TICK_MS).unref();

  function reports(): [part: string, report: PartReport][] {
    return [...parts].map(([part, report]) => {
      try {
        return [part, report()];
      } catch (error) {
        logger.error({ err: error, part }, 'health report failed');
        const reason: Reason = {
          code: 'report_failed',
          severity: 'failing',
          detail: 'cannot tell; see the log',
        };
        return [part, { ready: false, reasons: [reason], status: {} }];
      }
    });
  }

  function summarize(all: readonly [string, PartReport][]): HealthSummary {
    const reasons = all.flatMap(([part, { reasons: own }]) =>
      own.map((reason) => ({ part, ...reason })),
    );
    const failing = reasons.some(({ severity }) => severity === 'failing');
    const status = failing ? 'failing' : reasons.length > 0 ? 'degraded' : 'ok';
    metrics.health.set({ ok: 0, degraded: 1, failing: 2 }[status]);
    const uptimeSeconds = Math.floor((performance.now() - startedAt) / 1000);
    return { status, exchange, version, uptimeSeconds, reasons };
  }

  return {
    register: (part, report) => void parts.set(part, report),
    setDraining: () => void parts.set('daemon', () => DRAINING),
    isLive: () => performance.now() - tickedAt < STUCK_AFTER_MS,
    readiness() {
      const checks = Object.fromEntries(reports().map(([part, { ready }]) => [part, ready]));
      return { ready: Object.values(checks).every(Boolean), checks };
    },
    summary: () => summarize(reports()),
    status() {
      const all = reports();
      const states = all.map(([part, { ready, status }]) => [part, { ready, ...status }]);
      return { ...summarize(all), parts: Object.fromEntries(states) as never };
    },
    close: () => clearInterval(ticking),
  };
}
