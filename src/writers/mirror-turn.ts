/**
 * One turn of the mirror: from asking for it to the first thing that goes wrong.
 *
 *   standby -> listening -> compare everything -> (wait -> copy what changed) -> ...
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { HyperfeedError } from '../errors.ts';
import type { LimitedLogger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { createMirrorChanges, type MirrorChanges } from './mirror-changes.ts';
import type { MirrorConnections } from './mirror-connections.ts';
import { createMirrorCopy, type MirrorCopy } from './mirror-copy.ts';
import type { MirroredTable } from './mirror-tables.ts';
import { withDeadline } from './pg.ts';

export interface MirrorTurn extends MirrorConnections {
  readonly tables: readonly MirroredTable[];
  readonly statementTimeoutMs: number;
  /** Mirrors with the same text, in one schema, take turns. */
  readonly lockName: string;
  readonly onStandby: () => void;
  /** After each copy: how many rows are mirrored of each table, and what Redis refused. */
  readonly onCopied: (rows: Record<string, number>, refused: HyperfeedError | undefined) => void;
  readonly metrics: Metrics;
  readonly logger: LimitedLogger;
}

/** Standby: asks for the turn. Active: looks whether both connections are still there. */
const POLL_MS = 2_000;
/** What changes within this time is read together. */
const GATHER_MS = 50;
/** Redis evicts keys and people delete them; nobody tells. */
const COMPARE_EVERY_MS = 600_000;
const REFUSED_RETRY_MS = 10_000;

const CHANNEL = 'hyperfeed_mirror';
/** The first number stands for this use of advisory locks, and is known to nobody else. */
const LOCK = 'SELECT pg_try_advisory_lock(1751478884, hashtext(current_schema() || $1)) AS mine';

/** Never returns. */
export async function takeTurn(turn: MirrorTurn): Promise<never> {
  const { client, lost, tables, statementTimeoutMs, lockName, onStandby } = turn;
  const ask = (sql: string, values: string[] = []) =>
    withDeadline(client, statementTimeoutMs, 'asking', () =>
      client.query<{ mine: boolean }>(sql, values),
    );
  while (!(await ask(LOCK, [lockName])).rows[0]?.mine) {
    onStandby();
    await sleep(POLL_MS, undefined, { signal: lost });
  }
  const changes = createMirrorChanges(tables.map(({ table }) => table));
  client.on('notification', ({ payload = '' }) => changes.add(payload));
  lost.addEventListener('abort', () => changes.wake());
  // Before anything is read, so that nothing changes unheard.
  await ask(`LISTEN ${CHANNEL}`);
  return follow(turn, changes, createMirrorCopy(turn));
}

async function follow(turn: MirrorTurn, changes: MirrorChanges, copy: MirrorCopy): Promise<never> {
  const { lost, onCopied } = turn;
  let refused: HyperfeedError | undefined;
  for (let compareAt = 0; ;) {
    if (performance.now() >= compareAt) {
      changes.addAll();
      compareAt = performance.now() + COMPARE_EVERY_MS;
      refused = undefined;
    }
    if (changes.isEmpty()) {
      await copy.checkConnections();
    } else {
      const refusal = await copyChanges(turn, changes, copy);
      if (refusal) compareAt = Math.min(compareAt, performance.now() + REFUSED_RETRY_MS);
      refused ??= refusal;
      onCopied(copy.counts(), refused);
    }
    await changes.some(POLL_MS);
    if (!changes.isEmpty()) await sleep(GATHER_MS);
    lost.throwIfAborted();
  }
}

/** Returns what Redis refused. The rest is copied all the same. */
async function copyChanges(
  { tables, metrics, logger }: MirrorTurn,
  changes: MirrorChanges,
  copy: MirrorCopy,
): Promise<HyperfeedError | undefined> {
  let refused: HyperfeedError | undefined;
  for (const [name, ids] of changes.take()) {
    const startedAt = performance.now();
    try {
      await copy.copy(
        tables.find(({ table }) => table === name)!,
        ids,
      );
      metrics.mirrorCopy.observe((performance.now() - startedAt) / 1000);
    } catch (error) {
      if (!(error instanceof HyperfeedError) || error.code !== 'redis_refused') throw error;
      refused = error;
      metrics.mirrorErrors.inc();
      logger.warn({ err: error, table: name }, 'redis refused writes of the mirror');
    }
  }
  return refused;
}
