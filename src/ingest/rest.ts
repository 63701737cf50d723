/**
 * GET requests to an exchange's REST, within half of its rate budget, so that people can use the
 * other half. One at a time, in order of priority.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import PQueue from 'p-queue';
import { HyperfeedError } from '../errors.ts';
import { withPath } from '../transport.ts';
import type { RestRequest } from './adapter.ts';

const REQUEST_TIMEOUT_MS = 10_000;
const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** Asked again, these are answered the same. */
const REFUSALS = [400, 404, 410];
/** What may be spent at once after a quiet time, as a share of a minute's budget. */
const BURST_SHARE = 1 / 6;

export interface RestOptions {
  readonly baseUrl: string;
  readonly weightPerMinute: number;
  /** Sees each request's URL and answer; for recordings. */
  readonly tap?: ((url: string, body: string) => void) | undefined;
}

export type Rest = ReturnType<typeof createRest>;

export function createRest({ baseUrl, weightPerMinute, tap }: RestOptions) {
  const queue = new PQueue({ concurrency: 1 });
  const perMs = weightPerMinute / 2 / 60_000;
  const burst = (weightPerMinute / 2) * BURST_SHARE;
  let budget = burst;
  let refilledAt = performance.now();
  let bannedUntil = 0;

  async function spend(weight: number, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    budget = Math.min(burst, budget + (now - refilledAt) * perMs);
    refilledAt = now;
    budget -= weight;
    const waitMs = Math.max(bannedUntil - now, budget < 0 ? -budget / perMs : 0);
    if (waitMs > 0) await sleep(waitMs, undefined, { signal });
  }

  async function get(request: RestRequest, signal: AbortSignal): Promise<string> {
    await spend(request.weight, signal);
    const url = new URL(withPath(baseUrl, request.path));
    for (const [key, value] of Object.entries(request.query)) url.searchParams.set(key, value);
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
    const response = await fetch(url, { signal: timeout, redirect: 'error' });
    if (Number(response.headers.get('content-length') ?? 0) > MAX_BODY_BYTES) {
      await response.body?.cancel();
      throw new HyperfeedError('rest_too_large', `${url.pathname}: answer too large`);
    }
    const body = await response.text();
    if (!response.ok) {
      if (response.status === 429 || response.status === 418) {
        // Going on would turn the warning into a ban.
        const retryAfter = Number(response.headers.get('retry-after')) || 60;
        bannedUntil = performance.now() + retryAfter * 1000;
      }
      const detail = body.slice(0, 200);
      const code = REFUSALS.includes(response.status) ? 'rest_refused' : 'rest_status';
      throw new HyperfeedError(code, `${url.pathname}: HTTP ${response.status} ${detail}`);
    }
    tap?.(url.href, body);
    return body;
  }

  return {
    /** Body of the answer. Throws HyperfeedError `rest_refused`, `rest_status`, `rest_too_large`, or fetch's error. */
    get: (request: RestRequest, signal: AbortSignal, priority = 0): Promise<string> =>
      queue.add(() => get(request, signal), { priority, signal }),
  };
}
