/**
 * A read that outlives the session that asked for it: what it brings is for the next one. However
 * often one waits for it, nothing is left on it: a spool may be quiet for days.
 */
export interface PendingRead<T> {
  /** Begins to read, unless it has, and calls back once there is something to take. */
  whenCome(listener: () => void): void;
  /** What came; throws what reading threw, and the next time it is read anew. */
  take(): Promise<T>;
  /** What was asked for is not wanted any more. */
  discard(): Promise<void>;
}

/** Reading ends when `signal` aborts. */
export function createPendingRead<T>(
  read: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): PendingRead<T> {
  let stop = new AbortController();
  let reading: { readonly came: Promise<T>; isOver: boolean } | undefined;
  let listener: (() => void) | undefined;
  signal.addEventListener('abort', () => stop.abort(), { once: true });

  function begin(): NonNullable<typeof reading> {
    const begun = { came: read(stop.signal), isOver: false };
    const over = () => {
      begun.isOver = true;
      listener?.();
    };
    begun.came.then(over, over);
    return begun;
  }

  return {
    whenCome(next) {
      listener = next;
      reading ??= begin();
      if (reading.isOver) next();
    },
    async take() {
      const taken = reading;
      reading = undefined;
      listener = undefined;
      if (!taken) throw new Error('nothing was read');
      return taken.came;
    },
    async discard() {
      stop.abort();
      // What it threw is of no interest: all is read again.
      await Promise.allSettled([reading?.came]);
      reading = undefined;
      stop = new AbortController();
      if (signal.aborted) stop.abort();
    },
  };
}

/** Calls back once, at once if it has happened. Returns how to forget it. */
export function whenAborted(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) listener();
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}
