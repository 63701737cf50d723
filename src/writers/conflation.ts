/**
 * The newest value of each key, and which of them Redis lacks. Bounded by the number of keys, however
 * long nothing can be sent. Pure: `now` is monotonic ms.
 *
 *   clean -accept-> dirty -take-> in flight -written-> clean, or dirty: it changed meanwhile
 *                     ^               |
 *                     +-- release -- held <-failed-+
 *
 * However many batches are in flight, a key is in one of them at most: its values arrive in order.
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
  inFlight: boolean;
}

export function createConflation() {
  const entries = new Map<string, Entry>();
  /** In the order in which they became so: first come, first served. */
  const dirty = new Set<Entry>();
  const held = new Set<Entry>();
  /** What was taken, and of which entries. */
  const inFlight = new Map<readonly Taken[], readonly Entry[]>();

  function soil(entry: Entry, since: number): void {
    // Dirty already, or held, or will be when its batch is over.
    if (entry.since !== undefined) return;
    entry.since = since;
    if (!entry.inFlight) dirty.add(entry);
  }

  function entryOf(key: string, value: LatestValue, now: number): Entry {
    let entry = entries.get(key);
    if (!entry) {
      entry = { key, value, acceptedAt: now, fresh: false, since: undefined, inFlight: false };
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
    /** As if what waits had come now: until now it was not ours to write. */
    restart(now: number): void {
      for (const entry of entries.values()) if (entry.since !== undefined) entry.since = now;
    },

    /** Up to `max` dirty values, now in flight. */
    take(max: number): readonly Taken[] {
      const batch = [...dirty.values().take(max)];
      const taken = batch.map((entry) => {
        const { key, value, acceptedAt, fresh, since = acceptedAt } = entry;
        dirty.delete(entry);
        entry.fresh = false;
        entry.since = undefined;
        entry.inFlight = true;
        return { key, value, acceptedAt, fresh, since };
      });
      inFlight.set(taken, batch);
      return taken;
    },

    /** The batch is over; `failed` are held. Returns how many of them were replaced meanwhile. */
    settle(taken: readonly Taken[], failed: readonly Taken[]): number {
      const batch = inFlight.get(taken) ?? [];
      inFlight.delete(taken);
      let replaced = 0;
      for (const { key, fresh, since } of failed) {
        const entry = entries.get(key);
        if (!entry) continue;
        if (fresh && entry.fresh) replaced++;
        entry.fresh ||= fresh;
        entry.since = since;
        held.add(entry);
      }
      for (const entry of batch) {
        entry.inFlight = false;
        if (entry.since !== undefined && !held.has(entry)) dirty.add(entry);
      }
      return replaced;
    },

    /** What failed may be tried again. */
    release(): void {
      for (const entry of held) dirty.add(entry);
      held.clear();
    },

    /** Keys that can be taken. */
    dirty: () => dirty.size,
    /** Keys of which Redis lacks the newest value. */
    unwritten: () =>
      inFlight.values().reduce((sum, batch) => sum + batch.length, dirty.size + held.size),
    keys: () => entries.size,

    oldestSince(now: number): number {
      let oldest = now;
      const look = (of: Iterable<{ readonly since: number | undefined }>) => {
        for (const { since = now } of of) oldest = Math.min(oldest, since);
      };
      for (const taken of inFlight.keys()) look(taken);
      look(dirty);
      look(held);
      return oldest;
    },
  };
}
