/**
 * Refills gaps from the exchange's history by id, each from its oldest id on, in turn.
 *
 *   asked --ids from `next` on are shown--> refilled, on to what follows them
 *         --too old--> the first id that is young enough is searched, those below it are lost
 *         --not shown--> asked again for a while, then lost up to the first id that is shown
 *
 * What is open is for the ledger to say, which knows it from the database: so a restart goes on
 * where this was. Requests share the rest client, which keeps to half of the rate budget.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { createRateLimitedLogger, type Logger } from '../log.ts';
import type { Instrument, Micros, OpenGap, Trade } from './events.ts';
import type { TradeHistory } from './trade-history.ts';

/** The database's side of gaps. */
export interface Gaps {
  /** Those to be refilled, the oldest first; each the same object until it is closed. */
  open(): readonly OpenGap[];
  /** Trades from `next` on, without a hole; moves `next`. False: not accepted now. */
  refill(gap: OpenGap, trades: readonly Trade[]): boolean;
  /** From `next` to `through` there is nothing to be had; moves `next`. False: not accepted now. */
  lose(gap: OpenGap, through: bigint, reason: 'too_old' | 'not_in_history'): boolean;
}

export interface BackfillOptions {
  readonly history: Pick<TradeHistory, 'from'>;
  readonly gaps: Gaps;
  readonly config: Config['backfill'];
  /** Wall clock. */
  readonly now: () => Micros;
  readonly logger: Logger;
}

const IDLE_MS = 100;
const RETRY_MS = 5_000;
/** Asked so often before an id that is not shown counts as lost. */
const ASKED = 5;
const HOUR: Micros = 3_600_000_000;

/** Since when the next id of a gap is waited for. */
interface Doubt {
  readonly next: bigint;
  readonly sinceMs: number;
}

export function createBackfill({ history, gaps, config, now, logger }: BackfillOptions) {
  const limited = createRateLimitedLogger(logger);
  const doubts = new WeakMap<OpenGap, Doubt>();
  const notBeforeMs = new WeakMap<OpenGap, number>();

  async function step(gap: OpenGap, instrument: Instrument, signal: AbortSignal): Promise<void> {
    const shown = await history.from(instrument, gap.next, signal);
    const [first] = shown;
    const whole = withoutHole(shown, gap);
    const [oldest] = whole;
    if (oldest && isTooOld(oldest)) {
      const young = await firstThat((page) => page[0] !== undefined && !isTooOld(page[0]));
      accepted(gap, gaps.lose(gap, young - 1n, 'too_old'));
    } else if (oldest) {
      accepted(gap, gaps.refill(gap, whole));
    } else if (!isPatienceOver(gap)) {
      wait(gap, config.patienceMs / ASKED);
    } else {
      const next = first ? BigInt(first.tradeId) : await firstThat((page) => page.length > 0);
      const through = next > gap.to ? gap.to : next - 1n;
      accepted(gap, gaps.lose(gap, through, 'not_in_history'));
    }

    /** The first id after `next` from which on the answer is like that; after `to` if none is. */
    async function firstThat(holds: (page: readonly Trade[]) => boolean): Promise<bigint> {
      let [low, high] = [gap.next, gap.to + 1n];
      while (high - low > 1n) {
        const middle = (low + high) / 2n;
        if (holds(await history.from(instrument, middle, signal))) high = middle;
        else low = middle;
      }
      return high;
    }
  }

  function isTooOld(trade: Trade): boolean {
    return trade.time < now() - config.maxAgeHours * HOUR;
  }

  /** History may lag behind the stream, so an id that it does not show yet may still come. */
  function isPatienceOver(gap: OpenGap): boolean {
    let doubt = doubts.get(gap);
    if (doubt?.next !== gap.next) {
      doubts.set(gap, (doubt = { next: gap.next, sinceMs: performance.now() }));
    }
    return performance.now() - doubt.sinceMs >= config.patienceMs;
  }

  function accepted(gap: OpenGap, done: boolean): void {
    if (!done) wait(gap, RETRY_MS);
  }

  function wait(gap: OpenGap, delayMs: number): void {
    notBeforeMs.set(gap, performance.now() + delayMs);
  }

  /** One request for each gap, so that a long one does not keep the others waiting. */
  async function round(
    instruments: ReadonlyMap<string, Instrument>,
    signal: AbortSignal,
  ): Promise<number> {
    let asked = 0;
    for (const gap of gaps.open()) {
      const instrument = instruments.get(gap.symbol);
      if (!instrument || signal.aborted) continue;
      if ((notBeforeMs.get(gap) ?? 0) > performance.now()) continue;
      asked++;
      try {
        await step(gap, instrument, signal);
      } catch (error) {
        if (signal.aborted) return asked;
        limited.warn({ symbol: gap.symbol, err: error }, 'gap not refilled, trying again');
        wait(gap, RETRY_MS);
      }
    }
    return asked;
  }

  return {
    /** Until `signal` aborts. Never rejects. */
    async run(instruments: ReadonlyMap<string, Instrument>, signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        const asked = await round(instruments, signal);
        if (asked === 0) await sleep(IDLE_MS, undefined, { signal }).catch(() => undefined);
      }
    },
  };
}

/** The trades with the ids `next`, `next` + 1 and so on, within the gap. */
function withoutHole(shown: readonly Trade[], { next, to }: OpenGap): Trade[] {
  const whole: Trade[] = [];
  for (const trade of shown) {
    const wanted = next + BigInt(whole.length);
    if (wanted > to || BigInt(trade.tradeId) !== wanted) break;
    whole.push(trade);
  }
  return whole;
}
