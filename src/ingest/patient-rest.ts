/**
 * Requests that are asked again: for work that would rather wait than fail. A refusal is an answer; all
 * else (429, 5xx, a cut connection) may pass. How long 429 asks to be left alone, the client knows.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, HyperfeedError, reasonOf } from '../errors.ts';
import { createRateLimitedLogger, type Logger } from '../log.ts';
import type { Rest } from './rest.ts';

/** In a minute or so; longer where the exchange asks to be left alone. */
const ATTEMPTS = 8;
const MIN_DELAY_MS = 250;
const MAX_DELAY_MS = 30_000;

/** `get` throws what is thrown at the last attempt as HyperfeedError `rest_failed`. */
export function createPatientRest(
  rest: Pick<Rest, 'get'>,
  logger: Logger,
  attempts = ATTEMPTS,
): Pick<Rest, 'get'> {
  const limited = createRateLimitedLogger(logger);
  return {
    async get(request, signal, priority) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await rest.get(request, signal, priority);
        } catch (error) {
          if (signal.aborted || codeOf(error) === 'rest_refused') throw error;
          const { path } = request;
          if (attempt === attempts) {
            const why = `${path}: asked ${attempts} times, the last time: ${reasonOf(error)}`;
            throw new HyperfeedError('rest_failed', why, { cause: error });
          }
          const delayMs = Math.min(MIN_DELAY_MS * 2 ** attempt, MAX_DELAY_MS);
          limited.warn({ path, err: error, attempt, delayMs }, 'request failed, asking again');
          await sleep(delayMs, undefined, { signal });
        }
      }
    },
  };
}
