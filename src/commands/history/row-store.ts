/** Rows of a command into the database, by the way that the daemon's rows go. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config.ts';
import { HyperfeedError } from '../../errors.ts';
import type { Instrument, MarketEvent } from '../../ingest/events.ts';
import type { Logger } from '../../log.ts';
import { createMetrics, type Metrics } from '../../metrics.ts';
import { prepareSchema } from '../../schema/prepare.ts';
import { createPassage } from '../../writers/passage.ts';
import { clientConfig } from '../../writers/pg.ts';
import { createStore } from '../../writers/store.ts';
import { createSymbolsWriter } from '../../writers/symbols.ts';

export interface RowStoreOptions {
  readonly exchange: string;
  readonly config: Config;
  readonly markets: readonly Instrument[];
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** What became of rows. */
export interface Outcome {
  readonly stored: number;
  /** Stored by somebody else meanwhile. */
  readonly duplicate: number;
  /** Refused by our own checks, or by the database and kept in ingest_quarantine. */
  readonly refused: number;
}

export type RowStore = Awaited<ReturnType<typeof openRowStore>>;

const LOOK_MS = 10;
const STOP_MS = 30_000;

/** Brings the schema up to date, as the daemon does. Throws what the database refuses. */
export async function openRowStore(options: RowStoreOptions) {
  const { exchange, config, logger, signal } = options;
  const { database } = config;
  const metrics = createMetrics(exchange);
  const passage = createPassage(metrics);
  const symbols = createSymbolsWriter(exchange, logger);
  symbols.set(options.markets, true);
  const name = `hyperfeed-${exchange}-backfill`;
  let refusal: unknown;
  const store = createStore({
    exchange,
    spool: passage,
    symbols,
    config: database,
    async prepare(stopped) {
      await prepareSchema({
        clientConfig: clientConfig(database, name),
        ownerConfig: database.ownerUrl
          ? clientConfig({ ...database, url: database.ownerUrl }, name)
          : undefined,
        migrations: database.migrate,
        logger,
        signal: AbortSignal.any([stopped, signal]),
      });
    },
    onRefused: (error) => (refusal = error),
    metrics,
    logger,
  });
  await store.start(signal);
  try {
    await until(() => store.status().state === 'storing');
  } catch (error) {
    await stop();
    throw error;
  }

  /** Throws when a person has to mend something first, or `signal` aborts and nothing is under way. */
  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (refusal !== undefined) throw refusal;
      const { state, problem } = store.status();
      if (state === 'halted') throw new HyperfeedError('store_halted', `not stored: ${problem}`);
      if (state !== 'storing') signal.throwIfAborted();
      await sleep(LOOK_MS);
    }
  }

  function stop(): Promise<void> {
    return store.stop(AbortSignal.timeout(STOP_MS));
  }

  return {
    /** Resolves when the rows are committed, and the longer candles with them. */
    async put(events: readonly MarketEvent[]): Promise<Outcome> {
      const before = await outcomesOf(metrics);
      passage.push(events);
      await until(() => passage.isEmpty());
      const now = await outcomesOf(metrics);
      return {
        stored: now.stored - before.stored,
        duplicate: now.duplicate - before.duplicate,
        refused: now.refused - before.refused,
      };
    },
    /** What was begun is stored to its end. */
    stop,
  };
}

async function outcomesOf(metrics: Metrics): Promise<Outcome> {
  const sum = async (metric: { get(): Promise<{ values: { value: number }[] }> }) =>
    (await metric.get()).values.reduce((total, { value }) => total + value, 0);
  const { rowsStored, rowsDuplicate, rowsRejected, rowsQuarantined } = metrics;
  const refused = (await sum(rowsRejected)) + (await sum(rowsQuarantined));
  return { stored: await sum(rowsStored), duplicate: await sum(rowsDuplicate), refused };
}
