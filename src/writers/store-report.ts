/** What the write path says of itself to the health server. */
import type { PartReport, Reason } from '../health.ts';
import type { Spool } from './spool.ts';
import type { Pressure } from './spool-room.ts';
import type { StoreStatus } from './store.ts';

/** Rows that wait for longer break the promise of being stored soon. */
const LAG_FAILING_MS = 60_000;

const WORST_FIRST = ['halted', 'connecting', 'storing', 'stopped'] as const;

const PRESSURES = ['roomy', 'thin', 'no_books', 'full'] as const satisfies readonly Pressure[];

type SpoolStatus = ReturnType<Spool['status']>;
type SpoolSum = 'segments' | 'bytes' | 'retainedBytes' | 'maxBytes' | 'unwrittenBytes';

/** Of all lanes; what is worst of them counts. */
export function storeReport(lanes: readonly (readonly [StoreStatus, SpoolStatus])[]) {
  const reasons: PartReport['reasons'][number][] = [];
  const stores = lanes.map(([store]) => store);
  const spools = lanes.map(([, spool]) => spool);
  const store = WORST_FIRST.map((is) => stores.find(({ state }) => state === is)).find(Boolean);
  const { state, role, problem, foreignKeyCheck } = store ?? stores[0]!;
  if (state === 'halted') {
    reasons.push({ code: 'writer_halted', severity: 'failing', detail: problem ?? state });
  } else if (state === 'connecting') {
    reasons.push({ code: 'database', severity: 'degraded', detail: problem ?? state });
  }
  const oldestAt = Math.min(...spools.map((spool) => spool.oldestAt ?? Infinity));
  const lagMs = oldestAt === Infinity ? 0 : Date.now() - oldestAt / 1000;
  if (lagMs > LAG_FAILING_MS) {
    const detail = `oldest row waits for ${Math.round(lagMs / 1000)} s`;
    reasons.push({ code: 'pg_lag', severity: 'failing', detail });
  }
  for (const spool of spools) {
    const reason = spoolReason(spool);
    if (reason) reasons.push(reason);
  }
  const sum = (key: SpoolSum) => spools.reduce((total, spool) => total + spool[key], 0);
  // Rows are accepted without a database, so its absence does not make the daemon unready.
  return {
    ready: true,
    reasons,
    status: {
      state,
      role,
      lanes: lanes.length,
      foreignKeyCheck,
      lagMs,
      spool: {
        pressure: PRESSURES.findLast((is) => spools.some(({ pressure }) => pressure === is)),
        segments: sum('segments'),
        bytes: sum('bytes'),
        retainedBytes: sum('retainedBytes'),
        maxBytes: sum('maxBytes'),
        unwrittenBytes: sum('unwrittenBytes'),
      },
    },
  };
}

function spoolReason(spool: SpoolStatus): Reason | undefined {
  const { pressure, problem, bytes, maxBytes } = spool;
  const share = `${Math.round((bytes / maxBytes) * 100)} % of spool.maxBytes`;
  if (pressure === 'full') {
    const detail = `the disk takes no more (${problem ?? share}): trades wait in memory`;
    return { code: 'spool_full', severity: 'failing', detail };
  }
  if (pressure !== 'roomy') {
    const detail = `${share}: ${pressure === 'thin' ? 'fewer' : 'no'} order books are kept`;
    return { code: 'spool_80', severity: 'failing', detail };
  }
  if (problem === undefined) return undefined;
  return { code: 'spool_error', severity: 'failing', detail: `cannot be written: ${problem}` };
}
