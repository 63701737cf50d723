/**
 * What the database said has changed and Redis has not got yet: a set, so a row that changes a
 * thousand times meanwhile is read once.
 */

/** 'all': any row of the table. */
export type Ids = ReadonlySet<number> | 'all';

export type MirrorChanges = ReturnType<typeof createMirrorChanges>;

/** With more than this, reading the whole table is the lesser work. */
const MAX_IDS = 2_000;
const INTEGERS = /^-?\d{1,10}(,-?\d{1,10})*$/;

export function createMirrorChanges(tables: readonly string[]) {
  let changes = new Map<string, Set<number> | 'all'>();
  let wake = () => {};

  return {
    /**
     * Payload of a notification: 'strategies 3,17', or 'strategies' for all of them. Anybody may
     * send one, and a later version may say more, so an odd one costs a look at the table.
     */
    add(payload: string): void {
      const [table = '', list = ''] = payload.split(' ', 2);
      if (!tables.includes(table)) return;
      const ids = changes.get(table) ?? new Set();
      if (ids !== 'all' && INTEGERS.test(list)) {
        for (const id of list.split(',')) ids.add(Number(id));
        changes.set(table, ids.size > MAX_IDS ? 'all' : ids);
      } else {
        changes.set(table, 'all');
      }
      wake();
    },
    addAll(): void {
      changes = new Map(tables.map((table) => [table, 'all']));
    },
    isEmpty: () => changes.size === 0,
    /** Forgets what it returns. */
    take(): ReadonlyMap<string, Ids> {
      const taken = changes;
      changes = new Map();
      return taken;
    },
    /** Resolves when there are some, on `wake`, or after `waitMs`. For one waiter. */
    some(waitMs: number): Promise<void> {
      if (changes.size > 0) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
    wake: () => wake(),
  };
}
