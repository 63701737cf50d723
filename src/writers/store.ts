/**
 * Spool -> PostgreSQL: one transaction a batch, which holds the rows and how far the spool is stored.
 *
 *   connecting -> preparing -> storing --error--> (backoff | halted) -> connecting
 *
 * After a lost connection the watermark tells whether a commit without an answer took place, so a
 * batch is stored once however often it is tried.
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

export interface StoreOptions {
  readonly exchange: string;
  readonly spool: Pick<Spool, 'read' | 'release' | 'end'>;
  readonly symbols: SymbolsWriter;
  /** Undefined where ids do not tell what is missing. */
  readonly gaps?: GapLedger | undefined;
  readonly config: Config['database'];
  /** Migrates and verifies; runs before the first batch, and again after a halt. */
  readonly prepare: (signal: AbortSignal) => Promise<void>;
  /** The database answers and will not do; nothing was stored yet. */
  readonly onRefused: (error: unknown) => void;
  /** After what only a person can mend. */
  readonly haltRecheckMs?: number;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface StoreStatus {
  readonly state: 'connecting' | 'storing' | 'halted' | 'stopped';
  /** Why it is not storing. */
  readonly problem?: string | undefined;
  /** How trades are checked to be of a known symbol. */
  readonly foreignKeyCheck?: ForeignKeyCheck | undefined;
}

const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;
const HALT_RECHECK_MS = 30_000;
const RETRIES_ON_SESSION = 5;
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
  let status: StoreStatus = { state: 'connecting' };
  let prepared = false;
  let everStored = false;
  let stopping = false;
  let running: Promise<void> = Promise.resolve();
  let reading: Promise<Batch | undefined> | undefined;

  async function run(): Promise<void> {
    let batch: Batch | undefined;
    for (let failures = 0; !abort.signal.aborted;) {
      let session: Session | undefined;
      try {
        session = await open();
        for (;;) {
          await writeSymbols(session.client);
          const came = batch ?? (await next(session));
          if (came === 'symbols') continue;
          batch = came;
          if (!batch) break;
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
        metrics.databaseUp.set(0);
        if (abort.signal.aborted) return;
        const action = actionOf(error);
        // A refused row could not be found, or is none of a batch.
        const halted = action === 'halt' || action === 'isolate';
        if (halted && !everStored) options.onRefused(error);
        if (halted) prepared = false;
        metrics.storeErrors.inc({ action });
        status = { state: halted ? 'halted' : 'connecting', problem: describe(error) };
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
      await withDeadline(session.client, config.statementTimeoutMs, 'preparing', () =>
        transaction.begin(session.client),
      );
    } catch (error) {
      destroy(session.client);
      throw error;
    }
    metrics.databaseUp.set(1);
    if (status.state !== 'storing') logger.info('storing');
    everStored = true;
    status = { state: 'storing', foreignKeyCheck: transaction.foreignKeyCheck() };
    return session;
  }

  /** A read that outlives its session is not lost: the next session gets what it brings. */
  async function next(session: Session): Promise<Batch | 'symbols' | undefined> {
    reading ??= spool.read(config.batch, abort.signal);
    const interrupted = Promise.withResolvers<'symbols'>();
    // Not a race with promises that live as long as the session: each race would leave something
    // on them that holds its batch.
    const stopLost = whenAborted(session.lost, () => interrupted.reject(session.lost.reason));
    const stopChanged = whenAborted(symbols.changed(), () => interrupted.resolve('symbols'));
    try {
      const came = await Promise.race([reading, interrupted.promise]);
      if (came !== 'symbols') reading = undefined;
      return came;
    } finally {
      stopLost();
      stopChanged();
    }
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
      if (status.state !== 'storing') abort.abort();
      deadline.addEventListener('abort', () => abort.abort(), { once: true });
      await Promise.race([
        running,
        new Promise<void>((resolve) => {
          abort.signal.addEventListener('abort', () => resolve(), { once: true });
        }),
      ]);
      status = { state: 'stopped' };
    },
    status: () => status,
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
