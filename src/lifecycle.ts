/**
 * Start in order, stop in reverse, once, before a deadline.
 *
 *   created -> starting -> running -> stopping -> stopped
 *
 * A service that fails to start stops those before it. A service that outlives the deadline is named.
 */
import { HyperfeedError } from './errors.ts';
import type { Logger } from './log.ts';

export interface Service {
  readonly name: string;
  /** Resolves when the service can be relied upon; its work goes on. `signal` aborts the start. */
  start(signal: AbortSignal): Promise<void>;
  /** Finishes what was accepted. When `deadline` aborts it lets go at once. Never throws. */
  stop(deadline: AbortSignal): Promise<void>;
}

export interface StopResult {
  /** Services that were still busy at the deadline. */
  readonly stragglers: readonly string[];
  /** Services whose stop threw all the same. */
  readonly failed: readonly string[];
}

export interface Lifecycle {
  /** Once. Rejects with the first failure, or when stopped meanwhile; then all is stopped again. */
  start(signal: AbortSignal): Promise<void>;
  /** Also during start. Every call returns the same promise, which never rejects. */
  stop(): Promise<StopResult>;
}

/** After the deadline, for letting go. */
const GRACE_MS = 250;

export function createLifecycle(options: {
  readonly services: readonly Service[];
  readonly logger: Logger;
  readonly deadlineMs: number;
}): Lifecycle {
  const { services, logger, deadlineMs } = options;
  const abortStart = new AbortController();
  const started: Service[] = [];
  let starting: { service: Service; done: Promise<void> } | undefined;
  let begun = false;
  let stopping: Promise<StopResult> | undefined;

  async function start(outer: AbortSignal): Promise<void> {
    if (begun) throw new HyperfeedError('lifecycle', 'a lifecycle starts once');
    begun = true;
    const signal = AbortSignal.any([outer, abortStart.signal]);
    try {
      for (const service of services) {
        signal.throwIfAborted();
        const done = service.start(signal);
        starting = { service, done };
        await done;
        started.push(service);
        starting = undefined;
      }
      signal.throwIfAborted();
    } catch (error) {
      await stop();
      throw error;
    }
  }

  function stop(): Promise<StopResult> {
    stopping ??= stopAll();
    return stopping;
  }

  async function stopAll(): Promise<StopResult> {
    abortStart.abort(new HyperfeedError('stopped', 'stopped during start'));
    const deadline = new AbortController();
    const gone = Promise.withResolvers<'late'>();
    const timers = [
      setTimeout(() => deadline.abort(), deadlineMs),
      setTimeout(() => gone.resolve('late'), deadlineMs + GRACE_MS),
    ];
    const stragglers: string[] = [];
    const failed: string[] = [];
    const inTime = async (name: string, work: Promise<void>) => {
      if ((await Promise.race([work, gone.promise])) === 'late') stragglers.push(name);
    };

    if (starting) {
      const { service, done } = starting;
      // Its failure, if any, is what start() rejects with; its success start() adds to `started`.
      const settled = done.catch(() => undefined);
      await inTime(`${service.name} (starting)`, settled);
    }
    for (const service of started.toReversed()) {
      try {
        await inTime(service.name, service.stop(deadline.signal));
      } catch (error) {
        failed.push(service.name);
        logger.error({ err: error, service: service.name }, 'service failed to stop');
      }
    }
    for (const timer of timers) clearTimeout(timer);
    if (stragglers.length > 0) logger.warn({ stragglers }, 'services did not stop in time');
    return { stragglers, failed };
  }

  return { start, stop };
}
