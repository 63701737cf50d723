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
import { actionOf } from './pg-errors.ts';
import type { Batch, Spool } from './spool.ts';
import { createTransaction } from './store-transaction.ts';
import type { SymbolsWriter } from './symbols.ts';
import { tryTurn } from './turn.ts';

export interface StoreOptions {
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
  /** What daemons of which one is active have in common; undefined: always active. */
  readonly turn?: string | undefined;
  /** Called once, before the first row of this epoch: what there is, earlier runs stored. */
  readonly earlier?: { readonly epoch: string; look(client: Client): Promise<void> };
  /** It became active, or found another one active. After a lost session it stays what it was. */
  readonly onRole?: (role: 'active' | 'standby') => void;
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

/** unknown: no server has told yet. Rows are accepted then, as if active: nothing may be lost. */
export type Role = 'unknown' | 'active' | 'standby';

const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;
const HALT_RECHECK_MS = 30_000;
const RETRIES_ON_SESSION = 5;
const TURN_MS = 2_000;
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
  let state: Omit<StoreStatus, 'role'> = { state: 'connecting' };
  let role: Role = 'unknown';
  /** The server lacks what it had; until it is remedied, whatever else fails. */
  let behind = false;
  let prepared = false;
  let everStored = false;
  let stopping = false;
  let running: Promise<void> = Promise.resolve();
  let reading: Promise<Batch | undefined> | undefined;
  let stopReading = new AbortController();
  abort.signal.addEventListener('abort', () => stopReading.abort(), { once: true });
  let turnDueAt = 0;
  let { earlier } = options;

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
          const came = batch ?? (await next(session));
          if (came === 'symbols') continue;
          if (came === 'turn') {
            await takeTurn(session.client);
            continue;
          }
          batch = came;
          if (!batch) break;
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
      await takeTurn(session.client, true);
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

  /** Also a sign of life: a session whose daemon is frozen is ended by the server, and its lock freed. */
  async function takeTurn(client: Client, opened = false): Promise<void> {
    const active = await withDeadline(client, config.statementTimeoutMs, 'taking turns', () =>
      options.turn === undefined || (role === 'active' && !opened)
        ? client.query('SELECT').then(() => true)
        : tryTurn(client, options.turn),
    );
    // What the active one stored meanwhile is not missing.
    if (active && role === 'standby' && !opened) await transaction.reload(client);
    turnDueAt = performance.now() + TURN_MS;
    const now = active ? 'active' : 'standby';
    if (now === role) return;
    role = now;
    if (options.turn !== undefined) logger.info({ role }, 'role');
    options.onRole?.(now);
  }

  /** All that is on disk is stored once more; what the server has of it is skipped. */
  async function rewind(): Promise<void> {
    stopReading.abort();
    await reading;
    reading = undefined;
    stopReading = new AbortController();
    metrics.watermarkRegressions.inc();
    logger.warn('the server lacks what was stored: storing again all that the spool still has');
    spool.rewind();
    behind = false;
  }

  /** A read that outlives its session is not lost: the next session gets what it brings. */
  async function next(session: Session): Promise<Batch | 'symbols' | 'turn' | undefined> {
    reading ??= spool.read(config.batch, stopReading.signal);
    const interrupted = Promise.withResolvers<'symbols' | 'turn'>();
    const timer = setTimeout(
      () => interrupted.resolve('turn'),
      Math.max(0, turnDueAt - performance.now()),
    );
    // Not a race with promises that live as long as the session: each race would leave something
    // on them that holds its batch.
    const stopLost = whenAborted(session.lost, () => interrupted.reject(session.lost.reason));
    const stopChanged = whenAborted(symbols.changed(), () => interrupted.resolve('symbols'));
    try {
      const came = await Promise.race([reading, interrupted.promise]);
      if (typeof came !== 'string') reading = undefined;
      return came;
    } finally {
      clearTimeout(timer);
      stopLost();
      stopChanged();
    }
  }

  async function lookOnce(client: Client): Promise<void> {
    if (!earlier) return;
    const { look } = earlier;
    await withDeadline(client, config.statementTimeoutMs, 'looking back', () => look(client));
    earlier = undefined;
  }

  async function writeSymbols(client: Client): Promise<void> {
    await withDeadline(client, config.statementTimeoutMs, 'writing symbols', () =>
      symbols.flush(client),
    );
  }

  async function storeBatch(client: Client, batch: Batch): Promise<void> {
    const guarded = <T>(what: string, work: () => Promise<T>) =>
      withDeadline(client, config.copyTimeoutMs, what, work);
    let adopted = false;
    for (let attempt = 1; ; attempt++) {
      try {
        await guarded('storing', () => transaction.store(client, batch));
        return;
      } catch (error) {
        let action = actionOf(error);
        if (action === 'reconnect' || action === 'halt' || attempt > RETRIES_ON_SESSION)
          throw error;
        if (action === 'symbols' && adopted) action = 'isolate';
        metrics.storeErrors.inc({ action });
        await guarded('recovering', async () => {
          await client.query('ROLLBACK');
          if (action === 'stage') transaction.stageNext();
          if (action === 'symbols' || action === 'isolate') {
            await transaction.adoptSymbols(client, batch);
          }
          if (action === 'partition') await transaction.addPartitions(client, batch);
          if (action === 'decompress') await client.query(UNLIMITED);
        });
        adopted ||= action === 'symbols';
        if (action !== 'stage') {
          logger.warn({ err: error, action, attempt }, 'batch refused, trying again');
        }
        if (action !== 'isolate') continue;
        const looking = <T>(work: () => Promise<T>) => guarded('looking for refused rows', work);
        if ((await transaction.isolate(client, batch, looking)) === 0) throw error;
      }
    }
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
    status: () => ({ ...state, role }),
  };
}

/** Calls back once, at once if it has happened. Returns how to forget it. */
function whenAborted(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) listener();
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
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
