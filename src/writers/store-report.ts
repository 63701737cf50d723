/** What the write path says of itself to the health server. */
import type { PartReport } from '../health.ts';
import type { Spool } from './spool.ts';
import type { StoreStatus } from './store.ts';

/** Rows that wait for longer break the promise of being stored soon. */
const LAG_FAILING_MS = 60_000;

export function storeReport(store: StoreStatus, spool: ReturnType<Spool['status']>) {
  const reasons: PartReport['reasons'][number][] = [];
  const { state, problem, foreignKeyCheck } = store;
  if (state === 'halted') {
    reasons.push({ code: 'writer_halted', severity: 'failing', detail: problem ?? state });
  } else if (state === 'connecting') {
    reasons.push({ code: 'database', severity: 'degraded', detail: problem ?? state });
  }
  const lagMs = spool.oldestAt === undefined ? 0 : Date.now() - spool.oldestAt / 1000;
  if (lagMs > LAG_FAILING_MS) {
    const detail = `oldest row waits for ${Math.round(lagMs / 1000)} s`;
    reasons.push({ code: 'pg_lag', severity: 'failing', detail });
  }
  const { segments, bytes, unwrittenBytes } = spool;
  // Rows are accepted without a database, so its absence does not make the daemon unready.
  return {
    ready: true,
    reasons,
    status: { state, foreignKeyCheck, lagMs, spool: { segments, bytes, unwrittenBytes } },
  };
}
