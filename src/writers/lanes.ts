/** The lanes of a daemon, as one: which symbol goes where, and what they say of themselves together. */
import { readdir } from 'node:fs/promises';
import type { Client } from 'pg';
import { codeOf } from '../errors.ts';
import type { PartReport } from '../health.ts';
import type { Channel, MarketEvent, Micros, OpenGap, Trade } from '../ingest/events.ts';
import type { Service } from '../lifecycle.ts';
import { type Lane, laneFolder, type LaneOptions, openLane } from './lane.ts';
import type { TimeGap } from './losses.ts';
import { newestRows } from './newest-rows.ts';
import { spoolFolder } from './spool.ts';
import type { Role } from './store-role.ts';
import { storeReport } from './store-report.ts';

export interface LanesOptions extends Omit<
  LaneOptions,
  'index' | 'gaps' | 'onRole' | 'leader' | 'look'
> {
  readonly gaps?: { readonly refillable: boolean } | undefined;
  /** It became the turn of this daemon, or of another: the first lane asks, the others follow. */
  readonly onRole: (role: Role) => void;
  /** Streams that are known by time alone, and who wants to know how far earlier runs stored them. */
  readonly timed?:
    | {
        readonly channels: readonly Channel[];
        readonly symbols: readonly string[];
        storedBefore(channel: Channel, symbol: string, time: Micros): void;
      }
    | undefined;
}

/** As the configuration has it. */
const MAX_LANES = 16;

export type Lanes = Awaited<ReturnType<typeof openLanes>>;

/** Throws what opening a spool throws; then none is open. */
export async function openLanes(options: LanesOptions) {
  const { config } = options;
  const count = config.database.lanes;
  /** Those of an earlier run that had more: they are emptied, and get nothing new. */
  const total = await lanesIn(options);
  const lanes: Lane[] = [];
  try {
    for (let index = 0; index < total; index++) {
      lanes.push(
        await openLane({
          ...options,
          index,
          look: (client) => look(client, index),
          gaps: options.gaps && {
            ...options.gaps,
            owns: total === 1 ? undefined : (symbol) => laneOf(symbol) === index,
          },
          ...(index === 0 ? { onRole } : { leader: role }),
        }),
      );
    }
  } catch (error) {
    await close();
    throw error;
  }

  function role(): Role {
    return lanes[0]?.store.status().role ?? 'unknown';
  }

  function onRole(now: Role): void {
    for (const lane of lanes) lane.follow(now);
    options.metrics.active.set(now === 'active' ? 1 : 0);
    options.onRole(now);
  }

  async function look(client: Client, index: number): Promise<void> {
    if (!options.timed) return;
    const { channels, symbols, storedBefore } = options.timed;
    const own = symbols.filter((symbol) => laneOf(symbol) === index);
    for (const channel of channels) {
      for (const { symbol, time } of await newestRows(client, options.exchange, channel, own)) {
        storedBefore(channel, symbol, time);
      }
    }
  }

  async function close(): Promise<void> {
    for (const { spool, losses } of lanes) {
      await losses.close(await spool.seal());
      await spool.close();
    }
  }

  const [first] = lanes as [Lane, ...Lane[]];
  const known = new Map<string, number>();

  /** Always the same for a symbol, and spread over all. */
  function laneOf(symbol: string): number {
    let index = known.get(symbol);
    if (index === undefined) known.set(symbol, (index = hash(symbol) % count));
    return index;
  }

  const laneFor = ({ symbol }: MarketEvent) => lanes[laneOf(symbol)]!.recorder;
  const ledgerOf = (symbol: string) => lanes[laneOf(symbol)]?.gaps;
  const ledgers = lanes.flatMap(({ gaps }) => gaps ?? []);

  const stores: Service = {
    name: 'store',
    async start(signal) {
      for (const { store } of lanes) await store.start(signal);
    },
    async stop(deadline) {
      await Promise.all(lanes.map(({ store }) => store.stop(deadline)));
    },
  };

  return {
    count,
    laneOf,
    /** Makes an event a row of its lane. */
    push: count === 1 ? first.recorder.push : (event: MarketEvent) => laneFor(event).push(event),
    recordGap: (gap: TimeGap) => lanes[laneOf(gap.symbol)]?.losses.recordGap(gap),
    /** Where what has no symbol goes. */
    spool: first.spool,
    stores,
    role,
    /** Resolves when all that was pushed is on disk, or `deadline` aborts. */
    flush: async (deadline: AbortSignal): Promise<void> => {
      for (const { recorder } of lanes) recorder.flush();
      await Promise.all(lanes.map(({ spool }) => spool.flush(deadline)));
    },
    close,
    isEmpty: (): boolean => lanes.every(({ spool }) => spool.isEmpty()),
    report: () => storeReport(lanes.map(({ store, spool }) => [store.status(), spool.status()])),
    gaps: ledgers.length === 0 ? undefined : gapsOf(ledgers),
  };

  function gapsOf(all: typeof ledgers) {
    return {
      cursor: (symbol: string) => ledgerOf(symbol)?.cursor(symbol),
      open: (): OpenGap[] => all.flatMap((ledger) => ledger.open()),
      refill: (gap: OpenGap, trades: readonly Trade[]) =>
        ledgerOf(gap.symbol)?.refill(gap, trades) ?? false,
      lose: (gap: OpenGap, through: bigint, reason: string) =>
        ledgerOf(gap.symbol)?.lose(gap, through, reason) ?? false,
      report(): PartReport {
        const reports = all.map((ledger) => ledger.report());
        const sum = (key: string) =>
          reports.reduce((total_, { status }) => total_ + Number(status[key]), 0);
        const reasons = reports.flatMap((report) => report.reasons).slice(0, 1);
        return { ready: true, reasons, status: { open: sum('open'), missing: sum('missing') } };
      },
    };
  }
}

/** Those of the configuration, and those that an earlier run left rows in. */
async function lanesIn({ exchange, config }: LanesOptions): Promise<number> {
  const { lanes } = config.database;
  for (let total = MAX_LANES; total > lanes; total--) {
    const folder = spoolFolder(laneFolder(config.spool.directory, total - 1), exchange);
    if ((await filesIn(folder)).some((name) => name.endsWith('.seg'))) return total;
  }
  return lanes;
}

async function filesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  }
  return value;
}
