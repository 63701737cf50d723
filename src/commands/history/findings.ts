/** What a comparison of stored rows with the exchange's found, by day and series. */
import type { Micros } from '../../ingest/events.ts';

export type Channel = 'candles' | 'trades';

/** One row that is not as the exchange has it. */
export interface Finding {
  readonly channel: Channel;
  readonly symbol: string;
  readonly time: Micros;
  /** Of trades. */
  readonly id?: string;
  /** `missing`: not stored. `extra`: not at the exchange. */
  readonly kind: 'missing' | 'extra' | 'different';
  /** Of what is different: column -> stored, theirs. */
  readonly columns?: Readonly<Record<string, readonly [stored: Cell, theirs: Cell]>>;
}

export type Cell = string | number | null;

export interface Day {
  readonly day: string;
  readonly symbol: string;
  readonly channel: Channel;
  theirs: number;
  stored: number;
  missing: number;
  extra: number;
  different: number;
}

export interface Findings {
  /** A day is told when the next one begins, and a finding at once: neither is kept. */
  readonly onDay: (day: Day) => Promise<void>;
  readonly onFinding: (finding: Finding) => Promise<void>;
}

export type Ledger = ReturnType<typeof createLedger>;

/** Of one series, in the order of time. */
export function createLedger(channel: Channel, symbol: string, { onDay, onFinding }: Findings) {
  let current: Day | undefined;

  async function dayOf(time: Micros): Promise<Day> {
    const day = new Date(time / 1000).toISOString().slice(0, 10);
    // A row may be a little late for its day; it counts for the one that is told next.
    if (!current || day > current.day) {
      if (current) await onDay(current);
      current = { day, symbol, channel, theirs: 0, stored: 0, missing: 0, extra: 0, different: 0 };
    }
    return current;
  }

  return {
    async same(time: Micros): Promise<void> {
      const day = await dayOf(time);
      day.theirs++;
      day.stored++;
    },
    async found(finding: Omit<Finding, 'channel' | 'symbol'>): Promise<void> {
      const day = await dayOf(finding.time);
      if (finding.kind !== 'extra') day.theirs++;
      if (finding.kind !== 'missing') day.stored++;
      day[finding.kind]++;
      await onFinding({ channel, symbol, ...finding });
    },
    async end(): Promise<void> {
      if (current) await onDay(current);
    },
  };
}
