/**
 * A lane: the way of some symbols' rows to PostgreSQL. It has a spool and a session of its own, so
 * that each lane is exactly-once by itself, and a symbol's rows keep their order.
 */
import { join } from 'node:path';
import type { Client } from 'pg';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { createGapLedger, type GapLedger } from './gap-ledger.ts';
import { createLosses, type Losses } from './losses.ts';
import { createRecorder, type Recorder } from './recorder.ts';
import { openSpool, type Spool } from './spool.ts';
import { createStandby } from './standby.ts';
import { createStore, type StoreOptions } from './store.ts';
import type { Role } from './store-role.ts';
import type { SymbolsWriter } from './symbols.ts';

export interface LaneOptions extends Pick<
  StoreOptions,
  'prepare' | 'onRefused' | 'leader' | 'onRole'
> {
  readonly exchange: string;
  /** From 0. */
  readonly index: number;
  readonly symbols: SymbolsWriter;
  /** Of the ids of trades; undefined where they do not tell what is missing. */
  readonly gaps?:
    | { readonly refillable: boolean; owns: ((symbol: string) => boolean) | undefined }
    | undefined;
  /** Daemons of the exchange take turns. */
  readonly exclusive: boolean;
  /** Before the first row of this run is stored in this lane. */
  readonly look: (client: Client, index: number) => Promise<void>;
  readonly config: Pick<Config, 'channels' | 'database' | 'spool' | 'standby' | 'symbols'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface Lane {
  /** Where events go in. */
  readonly recorder: Recorder;
  readonly spool: Spool;
  /** What never got that far. */
  readonly losses: Losses;
  readonly store: ReturnType<typeof createStore>;
  readonly gaps: GapLedger | undefined;
  /** Rows go to the spool, or wait: what the daemon became. */
  follow(role: Role): void;
}

/** The first lane has the folder that a daemon without lanes has. */
export function laneFolder(directory: string, index: number): string {
  return index === 0 ? directory : join(directory, `lane-${index + 1}`);
}

/** Only who would store the same rows is the other's standby. */
function turnOf({ exchange, config: { channels, symbols } }: LaneOptions): string {
  return [exchange, ...channels.toSorted(), ...symbols.toSorted()].join(' ');
}

/** Throws what opening the spool throws. */
export async function openLane(options: LaneOptions): Promise<Lane> {
  const { exchange, index, config, exclusive, metrics, logger } = options;
  const directory = laneFolder(config.spool.directory, index);
  const lanes = config.database.lanes;
  const spool = await openSpool({
    exchange,
    config: {
      ...config.spool,
      directory,
      memoryBytes: Math.ceil(config.spool.memoryBytes / lanes),
      unwrittenBytes: Math.ceil(config.spool.unwrittenBytes / lanes),
    },
    share: 1 / lanes,
    metrics,
    logger,
  });
  const losses = await createLosses({
    exchange,
    spool,
    tradeIds: options.gaps !== undefined,
    metrics,
    logger,
  });
  const standby = createStandby({
    spool,
    losses,
    keepMs: config.standby.keepMs,
    maxBytes: Math.ceil(config.standby.maxBytes / lanes),
    metrics,
  });
  const gaps =
    options.gaps && createGapLedger({ ...options.gaps, exchange, spool, metrics, logger });
  const store = createStore({
    ...options,
    spool,
    gaps,
    config: config.database,
    // One lock for all lanes: two daemons must not each have some.
    turn: exclusive && !options.leader ? turnOf(options) : undefined,
    trustMs: config.standby.keepMs / 3,
    earlier: { epoch: spool.epoch, look: (client) => options.look(client, index) },
  });
  const recorder = createRecorder({
    spool: standby,
    losses,
    config: config.spool,
    metrics,
    logger,
  });
  return {
    recorder,
    spool,
    losses,
    store,
    gaps,
    follow(role) {
      if (role === 'standby') standby.hold();
      else standby.release();
    },
  };
}
