/**
 * When each trade was emitted: all that must be kept of a trade, since the law makes the rest again.
 * Trades of one millisecond share an entry, so a day at 50,000 trades a second stays small.
 */
export function createTradeTimes(firstId: number) {
  const runs: { readonly firstId: number; readonly time: number }[] = [];
  let nextId = firstId;

  /** Number of runs for which `before` holds; it holds for the first ones only. */
  const count = (before: (run: { firstId: number; time: number }) => boolean): number => {
    let low = 0;
    let high = runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const run = runs[middle];
      if (run !== undefined && before(run)) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  return {
    firstId,
    nextId: () => nextId,
    /** Times never go back. */
    append(time: number): void {
      if (runs.at(-1)?.time !== time) runs.push({ firstId: nextId, time });
      nextId += 1;
    },
    timeOf(id: number): number {
      const run = id < nextId ? runs[count((r) => r.firstId <= id) - 1] : undefined;
      if (run === undefined) throw new RangeError(`no trade ${id}`);
      return run.time;
    },
    /** Id of the first trade at or after `time`; the next id when there is none. */
    firstIdAt: (time: number): number => runs[count((r) => r.time < time)]?.firstId ?? nextId,
  };
}
