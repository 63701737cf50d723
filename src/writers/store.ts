/**
 * Spool -> PostgreSQL: one transaction a batch, which holds the rows and how far the spool is stored.
 *
 *   connecting -> preparing -> storing --error--> (backoff | halted) -> connecting
 *
 * After a lost connection the watermark tells whether a commit without an answer took place, so a
 * batch is stored once however often it is tried. When it is behind what was stored (a standby server
 * was promoted, a backup restored), all that the spool still has is read again.
 *
 * Of several daemons of an exchange one is active: it holds a lock in the very session that it stores
 * with, so that who loses the one loses the other. The others are on standby: they take no new rows
 * into their spools, and store what is in them. The unique keys make two at once harmless.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Config } from '../config.ts';
import { codeOf, messageOf } from '../errors.ts';
import type { Service } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { ForeignKeyCheck } from './foreign-key.ts';
import type { GapLedger } from './gap-ledger.ts';
import { clientConfig, close, destroy, openSession, type Session, withDeadline } from './pg.ts';
import { actionOf, type StoreAction } from './pg-errors.ts';
import { createPendingRead, whenAborted } from './pending-read.ts';
import type { Batch, Spool } from './spool.ts';
import { createRole, type Role, type RoleOptions } from './store-role.ts';
import { createTransaction } from './store-transaction.ts';
import type { SymbolsWriter } from './symbols.ts';

export interface StoreOptions extends Omit<RoleOptions, 'logger'> {
  readonly exchange: string;
  readonly spool: Pick<Spool, 'read' | 'release' | 'rewind' | 'end'>;
  readonly symbols: SymbolsWriter;
  /** Undefined where ids do not tell what is missing. */
  readonly gaps?: GapLedger | undefined;
  readonly config: Config['database'];
  /** Migrates and verifies; runs before the first batch, and again after a halt. */
  readonly prepare: (signal: AbortSignal) => Promise<void>;
  /** The database answers and will not do; nothing was stored yet. */
  readonly onRefused: (error: unknown) => void;
  /** Called once, before the first row of this epoch: what there is, earlier runs stored. */
  readonly earlier?: { readonly epoch: string; look(client: Client): Promise<void> };
  /** After what only a person can mend. */
  readonly haltRecheckMs?: number;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface StoreStatus {
  readonly state: 'connecting' | 'storing' | 'halted' | 'stopped';
  readonly role: Role;
  /** Why it is not storing. */
  readonly problem?: string | undefined;
  /** How trades are checked to be of a known symbol. */
  readonly foreignKeyCheck?: ForeignKeyCheck | undefined;
}

const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;
const HALT_RECHECK_MS = 30_000;
const RETRIES_ON_SESSION = 5;
const LOOKS = 5;
/** TimescaleDB's guard against a statement that unpacks a lot. A batch is bounded anyway. */
const UNLIMITED = 'SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0';

export function createStore(options: StoreOptions): Service & { status(): StoreStatus } {
  const { exchange, spool, symbols, config, metrics, logger } = options;
  const { haltRecheckMs = HALT_RECHECK_MS } = options;
  const transaction = createTransaction({
    exchange,
    gaps: options.gaps,
    quarantine: config.quarantine,
    metrics,
    logger,
  });
  const abort = new AbortController();
  const role = createRole(options);
  /** One that outlives its session is not lost: the next session gets what it brings. */
  const reading = createPendingRead<Batch | undefined>(
    (signal) => spool.read(config.batch, signal),
    abort.signal,
  );
  let state: Omit<StoreStatus, 'role'> = { state: 'connecting' };
  /** The server lacks what it had; until it is remedied, whatever else fails. */
  let behind = false;
  let prepared = false;
  let everStored = false;
  let stopping = false;
  let running: Promise<void> = Promise.resolve();
  let { earlier } = options;
  let looks = 0;

  async function run(): Promise<void> {
    let batch: Batch | undefined;
    for (let failures = 0; !abort.signal.aborted;) {
      let session: Session | undefined;
      try {
        session = await open();
        if (behind) {
          await rewind();
          batch = undefined;
        }
        for (;;) {
          await writeSymbols(session.client);
          // Also under load, when there is always something to read.
          if (role.dueInMs() === 0) await takeTurn(session.client);
          const came = batch ?? (await next(session));
          // Nothing came for a while: what earlier runs left is stored.
          if (came === 'turn') await lookOnce(session.client);
          if (came === 'symbols' || came === 'turn') continue;
          batch = came;
          if (!batch) break;
          await catchUp(session.client);
          if (batch.epoch === earlier?.epoch) await lookOnce(session.client);
          await storeBatch(session.client, batch);
          // Not when it was opened: a server may take sessions and no rows.
          failures = 0;
          await spool.release(batch);
          batch = undefined;
        }
        await close(session.client);
        return;
      } catch (error) {
        if (session) destroy(session.client);
        if (state.state === 'storing') metrics.databaseUp.dec();
        if (abort.signal.aborted) return;
        role.lost();
        const action = actionOf(error);
        // A refused row could not be found, or is none of a batch.
        const halted = action === 'halt' || action === 'isolate';
        if (halted && !everStored) options.onRefused(error);
        if (halted) prepared = false;
        metrics.storeErrors.inc({ action });
        state = { state: halted ? 'halted' : 'connecting', problem: describe(error) };
        const delayMs = halted ? haltRecheckMs : backoff(failures++);
        logger[halted ? 'error' : 'warn']({ err: error, action, delayMs }, 'storing interrupted');
        // The rows are safe on disk: a stop need not wait for a server that is not there.
        if (stopping) return;
        await sleep(delayMs, undefined, { signal: abort.signal }).catch(() => undefined);
      }
    }
  }

  async function open(): Promise<Session> {
    if (!prepared) await options.prepare(abort.signal);
    prepared = true;
    const session = await openSession(clientConfig(config, `hyperfeed-${exchange}`));
    try {
      await withDeadline(session.client, config.statementTimeoutMs, 'preparing', async () => {
        behind = (await transaction.begin(session.client)) || behind;
      });
      role.opened();
      await takeTurn(session.client);
    } catch (error) {
      destroy(session.client);
      throw error;
    }
    // Lanes share the gauge.
    metrics.databaseUp.inc();
    logger.info('storing');
    everStored = true;
    state = { state: 'storing', foreignKeyCheck: transaction.foreignKeyCheck() };
    return session;
  }

  async function takeTurn(client: Client): Promise<void> {
    await withDeadline(client, config.statementTimeoutMs, 'taking turns', () => role.take(client));
    await catchUp(client);
  }

  /** What another daemon stored meanwhile is not missing. */
  async function catchUp(client: Client): Promise<void> {
    if (!role.wasAway()) return;
    await withDeadline(client, config.statementTimeoutMs, 'catching up', () =>
      transaction.reload(client),
    );
  }

  /** All that is on disk is stored once more; what the server has of it is skipped. */
  async function rewind(): Promise<void> {
    await reading.discard();
    metrics.watermarkRegressions.inc();
    logger.warn('the server lacks what was stored: storing again all that the spool still has');
    spool.rewind();
    behind = false;
  }

  async function next(session: Session): Promise<Batch | 'symbols' | 'turn' | undefined> {
    const woken = Promise.withResolvers<'read' | 'symbols' | 'turn'>();
    const timer = setTimeout(() => woken.resolve('turn'), role.dueInMs());
    const stopLost = whenAborted(session.lost, () => woken.reject(session.lost.reason));
    const stopChanged = whenAborted(symbols.changed(), () => woken.resolve('symbols'));
    reading.whenCome(() => woken.resolve('read'));
    try {
      const why = await woken.promise;
      return why === 'read' ? await reading.take() : why;
    } finally {
      clearTimeout(timer);
      stopLost();
      stopChanged();
    }
  }

  /** Rows do not wait for ever for what is good to know. */
  async function lookOnce(client: Client): Promise<void> {
    if (!earlier) return;
    const { look } = earlier;
    if (looks++ === LOOKS) {
      earlier = undefined;
      logger.error('how far earlier runs stored cannot be had: what they missed is not looked for');
      return;
    }
    await withDeadline(client, config.statementTimeoutMs, 'looking back', () => look(client));
    earlier = undefined;
  }

  async function writeSymbols(client: Client): Promise<void> {
    await withDeadline(client, config.statementTimeoutMs, 'writing symbols', () =>
      symbols.flush(client),
    );
  }

  async function storeBatch(client: Client, batch: Batch): Promise<void> {
    let remedy: (() => Promise<void>) | undefined;
    let adopted = false;
    for (let attempt = 1; ; attempt++) {
      try {
        await remedy?.();
        await guarded(client, 'storing', () => transaction.store(client, batch));
        return;
      } catch (error) {
        let action = actionOf(error);
        if (action === 'reconnect' || action === 'halt' || attempt > RETRIES_ON_SESSION)
          throw error;
        if (action === 'symbols' && adopted) action = 'isolate';
        adopted ||= action === 'symbols';
        metrics.storeErrors.inc({ action });
        if (action !== 'stage') {
          logger.warn({ err: error, action, attempt }, 'batch refused, trying again');
        }
        const needed = action;
        remedy = () => remedyOf(client, batch, needed);
      }
    }
  }

  /** What it throws in its turn is remedied likewise. */
  async function remedyOf(client: Client, batch: Batch, action: StoreAction): Promise<void> {
    await guarded(client, 'recovering', async () => {
      await client.query('ROLLBACK');
      if (action === 'stage') transaction.stageNext();
      if (action === 'symbols' || action === 'isolate') {
        await transaction.adoptSymbols(client, batch);
      }
      if (action === 'partition') await transaction.addPartitions(client, batch);
      if (action === 'decompress') await client.query(UNLIMITED);
    });
    if (action !== 'isolate') return;
    await transaction.isolate(client, batch, (work) =>
      guarded(client, 'looking for refused rows', work),
    );
  }

  function guarded<T>(client: Client, what: string, work: () => Promise<T>): Promise<T> {
    return withDeadline(client, config.copyTimeoutMs, what, work);
  }

  return {
    name: 'store',
    async start() {
      running = run();
    },
    async stop(deadline) {
      stopping = true;
      spool.end();
      if (state.state !== 'storing') abort.abort();
      deadline.addEventListener('abort', () => abort.abort(), { once: true });
      await Promise.race([
        running,
        new Promise<void>((resolve) => {
          abort.signal.addEventListener('abort', () => resolve(), { once: true });
        }),
      ]);
      state = { state: 'stopped' };
    },
    status: () => ({ ...state, role: role.current() }),
  };
}

function backoff(failures: number): number {
  const delayMs = Math.min(MIN_BACKOFF_MS * 2 ** Math.min(failures, 10), MAX_BACKOFF_MS);
  return Math.round(delayMs * (0.5 + Math.random() / 2));
}

/** For /status: no host, no row. */
function describe(error: unknown): string {
  const code = codeOf(error);
  return code === undefined ? messageOf(error) : `${code}: ${messageOf(error)}`;
}
