/**
 * Which rows of a batch the server refuses. It names the line of COPY that it could not take, mostly:
 * then that line is out and the rest is tried from there. Where it names none (a CHECK behind a
 * staging table, a foreign key) the rows are halved until the bad ones stand alone.
 */

/** What the server says of the first row that it refuses. */
export interface Refusal {
  readonly sqlstate: string;
  readonly message: string;
  /** From 1; undefined where it does not say. */
  readonly line?: number | undefined;
}

export interface Refused<T> {
  readonly row: T;
  readonly refusal: Refusal;
}

/** `attempt` tries rows without keeping them; `onFound` may throw where it is not worth going on. */
export async function findRefused<T>(
  rows: readonly T[],
  attempt: (rows: readonly T[]) => Promise<Refusal | undefined>,
  onFound: (refused: Refused<T>) => void,
): Promise<void> {
  let rest = rows;
  while (rest.length > 0) {
    const refusal = await attempt(rest);
    if (!refusal) return;
    const line = rest.length === 1 ? 1 : refusal.line;
    const row = line === undefined ? undefined : rest[line - 1];
    if (line === undefined || row === undefined) {
      const middle = rest.length >> 1;
      await findRefused(rest.slice(0, middle), attempt, onFound);
      rest = rest.slice(middle);
      continue;
    }
    onFound({ row, refusal });
    // COPY took those before it, which later checks need not.
    await findRefused(rest.slice(0, line - 1), attempt, onFound);
    rest = rest.slice(line);
  }
}
