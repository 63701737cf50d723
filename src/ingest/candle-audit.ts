/**
 * Candles compared with the exchange's own history, and fetched from it where ours cannot be had.
 *
 *   wanted --first answer--> emitted --equal--> settled
 *                                    --differs twice, with the same--> corrected, settled
 *
 * History may lag behind the stream, so one answer is not believed over what was seen: the same must
 * come twice. A minute that is not in an answer has no candle once a later one is in it. Requests
 * share the rest client, which keeps to half of the rate budget: when it cannot keep up, each
 * request covers more minutes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../log.ts';
import type { DecodedCandle, History } from './adapter.ts';
import { sameCandle } from './candle-differences.ts';
import type { Micros } from './events.ts';
import { MINUTE, minuteOf } from './minutes.ts';
import type { Rest } from './rest.ts';

export interface CandleAuditOptions {
  readonly history: NonNullable<History['candles']>;
  readonly rest: Pick<Rest, 'get'>;
  /** A candle that was not had, or a correction of one that was. */
  readonly emit: (candle: DecodedCandle) => void;
  /** The exchange's clock. */
  readonly clock: () => Micros;
  readonly logger: Logger;
}

/** History may not have a minute at once. */
const FIRST_ASKED: Micros = 5_000_000;
const ASKED_AGAIN: Micros = 30_000_000;
/** Beyond, a minute that is not in an answer that ends before it counts as having no candle. */
const MAX_ANSWERS = 10;
const ROUND_MS = 1_000;
/** Minutes a market that wait, at most: a day. */
const MAX_WAITING = 1_440;
/** So old may be what is asked for. */
export const LONGEST_ASKED: Micros = (MAX_WAITING - 1) * MINUTE;

interface Waiting {
  /** What was emitted for this minute. */
  emitted: DecodedCandle | undefined;
  /** What history said instead, once. */
  doubted: DecodedCandle | undefined;
  /** Not before. */
  askAt: Micros;
  answers: number;
}

export function createCandleAudit(options: CandleAuditOptions) {
  const { history, rest, emit, clock, logger } = options;
  const markets = new Map<string, Map<Micros, Waiting>>();

  function wait(venueSymbol: string, minute: Micros): Waiting {
    let minutes = markets.get(venueSymbol);
    if (!minutes) markets.set(venueSymbol, (minutes = new Map()));
    let waiting = minutes.get(minute);
    if (!waiting) {
      const askAt = minute + MINUTE + FIRST_ASKED;
      minutes.set(
        minute,
        (waiting = { emitted: undefined, doubted: undefined, askAt, answers: 0 }),
      );
      const [oldest] = minutes.keys();
      if (minutes.size > MAX_WAITING && oldest !== undefined) {
        minutes.delete(oldest);
        logger.error({ venueSymbol, minute: oldest }, 'candle not verified: too many wait');
      }
    }
    return waiting;
  }

  function due(minutes: ReadonlyMap<Micros, Waiting>): Micros[] {
    const now = clock();
    const some = [...minutes].filter(([, { askAt }]) => askAt <= now).map(([minute]) => minute);
    const first = Math.min(...some);
    return some.filter((minute) => minute < first + history.maxRows * MINUTE);
  }

  /** One request for as many minutes as one answer holds. Rejects as the client does. */
  async function ask(venueSymbol: string, asked: Micros[], signal: AbortSignal): Promise<void> {
    const from = Math.min(...asked);
    // Later minutes show that history has come past the ones that are not in it.
    const to = Math.min(from + (history.maxRows - 1) * MINUTE, minuteOf(clock()));
    const body = await rest.get(history.request(venueSymbol, from, to), signal);
    const rows = history.parse(body, venueSymbol);
    const newest = rows.at(-1)?.time ?? -Infinity;
    const byTime = new Map(rows.filter((row) => row.closed).map((row) => [row.time, row]));
    for (const minute of asked) settle(venueSymbol, minute, byTime.get(minute), newest > minute);
  }

  /** Asks for what is due, once a market. Never rejects. */
  async function round(signal: AbortSignal): Promise<void> {
    for (const [venueSymbol, minutes] of markets) {
      const asked = due(minutes);
      if (asked.length === 0 || signal.aborted) continue;
      try {
        await ask(venueSymbol, asked, signal);
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ venueSymbol, err: error }, 'candle history failed, trying again');
        for (const minute of asked) {
          const waiting = minutes.get(minute);
          if (waiting) waiting.askAt = clock() + ASKED_AGAIN;
        }
      }
    }
  }

  function settle(
    venueSymbol: string,
    minute: Micros,
    row: DecodedCandle | undefined,
    passed: boolean,
  ): void {
    const minutes = markets.get(venueSymbol);
    const waiting = minutes?.get(minute);
    if (!minutes || !waiting) return;
    waiting.answers++;
    waiting.askAt = clock() + ASKED_AGAIN;
    const { emitted, doubted } = waiting;
    if (!row) {
      if (!passed && waiting.answers < MAX_ANSWERS) return;
      minutes.delete(minute);
      // Said, not undone: what was seen to be traded was traded.
      if (emitted) logger.warn({ venueSymbol, minute }, 'candle is not in the history');
    } else if (!emitted) {
      waiting.emitted = row;
      emit(row);
    } else if (sameCandle(row, emitted)) {
      minutes.delete(minute);
    } else if (!doubted || !sameCandle(row, doubted)) {
      waiting.doubted = row;
    } else {
      minutes.delete(minute);
      logger.warn({ venueSymbol, ours: emitted, theirs: row }, 'candle corrected by the history');
      emit(row);
    }
  }

  return {
    /** A candle that was emitted, to be compared. */
    verify(candle: DecodedCandle): void {
      wait(candle.venueSymbol, candle.time).emitted = candle;
    },
    /** Minutes to be taken from the history, both included, unless they are compared already. */
    want(venueSymbol: string, from: Micros, to: Micros): void {
      const earliest = to - (MAX_WAITING - 1) * MINUTE;
      for (let minute = Math.max(from, earliest); minute <= to; minute += MINUTE) {
        wait(venueSymbol, minute);
      }
    },
    round,
    /** Rounds until `signal` aborts. Never rejects. */
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        await round(signal);
        await sleep(ROUND_MS, undefined, { signal }).catch(() => undefined);
      }
    },
  };
}
