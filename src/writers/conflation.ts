/**
 * The newest value of each key, and which of them Redis lacks. Bounded by the number of keys, however
 * long nothing can be sent. Pure: `now` is monotonic ms.
 *
 *   clean -accept-> dirty -take-> in flight -written-> clean
 *                     ^               |
 *                     +-- release -- held <-failed-+
 */
import type { LatestValue } from './latest-value.ts';

export interface Taken {
  readonly key: string;
  readonly value: LatestValue;
  readonly acceptedAt: number;
  /** Not a repetition of what was sent before. */
  readonly fresh: boolean;
  /** When the oldest update came in that it stands for. */
  readonly since: number;
}

interface Entry {
  readonly key: string;
  value: LatestValue;
  acceptedAt: number;
  fresh: boolean;
  /** Undefined: Redis has it, or it is in flight. */
  since: number | undefined;
}

export function createConflation() {
  const entries = new Map<string, Entry>();
  /** In the order in which they became so: first come, first served. */
  const dirty = new Set<Entry>();
  const held = new Set<Entry>();
  let inFlight: readonly Taken[] = [];

  function soil(entry: Entry, since: number): void {
    // Dirty already, or held.
    if (entry.since !== undefined) return;
    entry.since = since;
    dirty.add(entry);
  }

  function entryOf(key: string, value: LatestValue, now: number): Entry {
    let entry = entries.get(key);
    if (!entry) {
      entry = { key, value, acceptedAt: now, fresh: false, since: undefined };
      entries.set(key, entry);
    }
    return entry;
  }

  return {
    /** The time of a key never goes back. `replaced`: the value before it was never sent. */
    accept(key: string, value: LatestValue, now: number): 'accepted' | 'replaced' | 'outdated' {
      const entry = entryOf(key, value, now);
      if (value.time < entry.value.time) return 'outdated';
      const outcome = entry.fresh ? 'replaced' : 'accepted';
      entry.value = value;
      entry.acceptedAt = now;
      entry.fresh = true;
      soil(entry, now);
      return outcome;
    },

    /** Redis may have lost or missed anything. */
    soilAll(now: number): void {
      for (const entry of entries.values()) soil(entry, now);
    },

    /** Up to `max` dirty values, now in flight: one batch at a time. */
    take(max: number): readonly Taken[] {
      inFlight = [...dirty.values().take(max)].map((entry) => {
        const { key, value, acceptedAt, fresh, since = acceptedAt } = entry;
        dirty.delete(entry);
        entry.fresh = false;
        entry.since = undefined;
        return { key, value, acceptedAt, fresh, since };
      });
      return inFlight;
    },

    /** The batch is over; `failed` are held. Returns how many of them were replaced meanwhile. */
    settle(failed: readonly Taken[]): number {
      inFlight = [];
      let replaced = 0;
      for (const { key, fresh, since } of failed) {
        const entry = entries.get(key);
        if (!entry) continue;
        if (fresh && entry.fresh) replaced++;
        entry.fresh ||= fresh;
        entry.since = since;
        dirty.delete(entry);
        held.add(entry);
      }
      return replaced;
    },

    /** What failed may be tried again. */
    release(): void {
      for (const entry of held) dirty.add(entry);
      held.clear();
    },

    hasDirty: () => dirty.size > 0,
    /** Keys of which Redis lacks the newest value. */
    unwritten: () => dirty.size + held.size + inFlight.length,
    keys: () => entries.size,

    oldestSince(now: number): number {
      let oldest = now;
      for (const { since } of inFlight) oldest = Math.min(oldest, since);
      for (const { since = now } of entries.values()) oldest = Math.min(oldest, since);
      return oldest;
    },
  };
}
