/** The REST budget per minute, and refusals on demand. */
export interface Refusal {
  readonly status: number;
  readonly body: string;
  readonly weight: number;
  readonly retryAfterSeconds: number;
}

const WEIGHT_PER_MINUTE = 6000;
const MINUTE_MS = 60_000;

export function createRequestBudget(weightPerMinute = WEIGHT_PER_MINUTE) {
  let minute = 0;
  let used = 0;
  let requests = 0;
  let failures: Pick<Refusal, 'status' | 'retryAfterSeconds'>[] = [];

  const enter = (now: number) => {
    const current = Math.floor(now / MINUTE_MS);
    if (current !== minute) used = 0;
    minute = current;
  };

  return {
    /** How to refuse the request that came in at `now`; null: serve it. */
    refusal(now: number): Refusal | null {
      enter(now);
      requests += 1;
      const failure = failures.shift();
      if (failure) return refuse(failure.status, failure.retryAfterSeconds);
      if (used < weightPerMinute) return null;
      return refuse(429, Math.ceil((MINUTE_MS - (now % MINUTE_MS)) / 1000));
    },
    /** Books the cost; returns what is used up in this minute. */
    spend(now: number, weight: number): number {
      enter(now);
      return (used += weight);
    },
    failNext(count: number, status: number, retryAfterSeconds: number): void {
      failures = Array.from({ length: count }, () => ({ status, retryAfterSeconds }));
    },
    requests: () => requests,
  };
}

function refuse(status: number, retryAfterSeconds: number): Refusal {
  const body = `{"code":-1003,"msg":"Too much request weight used; refused with ${status}."}`;
  return { status, body, weight: 0, retryAfterSeconds };
}
