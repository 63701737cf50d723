/** A scenario: what happens to a daemon in full flow, and what is to hold afterwards. */
import type { Settings } from './daemon.ts';
import type { Limits } from './bounds.ts';
import type { Flow } from './flow.ts';
import type { Faults } from './world.ts';

/** short: the part that belongs to `npm test`. */
export type Size = 'short' | 'full';

export interface FlowOptions {
  readonly symbols?: readonly string[];
  readonly channels?: readonly ('trades' | 'candles' | 'order_book')[];
  /** Trades a second, of all symbols together. */
  readonly rate?: number;
  readonly settings?: Settings;
  readonly redis?: boolean;
  /** Where faults are made between the daemon and what it talks to. */
  readonly links?: readonly ('database' | 'exchange')[];
  /** Default: a folder of the scenario's own. */
  readonly spoolOn?: { readonly tmpfsBytes: number };
  readonly limits?: Partial<Limits>;
}

export interface Scenario {
  readonly name: string;
  /** In words, for the table. */
  readonly what: string;
  /** Is part of `npm test`. */
  readonly short?: boolean;
  /** Why it cannot run here; undefined: it can. */
  readonly missing?: () => Promise<string | undefined>;
  /** How often each fault is to happen; fewer fail the scenario. */
  readonly faults: (size: Size) => Faults;
  readonly flow?: FlowOptions;
  /** Nothing may be missing from the sockets or the spool: what REST refilled counts as a fault. */
  readonly withoutRefill?: boolean;
  /** The faults, in full flow; what must hold besides the common part is thrown. */
  readonly run: (flow: Flow, size: Size) => Promise<void>;
}
