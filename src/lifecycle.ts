/**
 * Start in order, stop in reverse, once, before a deadline.
 *
 *   created -> starting -> running -> stopping -> stopped
 *
 * A service that fails to start stops those before it. A service that outlives the deadline is named.
 */

export interface Service {
  readonly name: string;
  /** Resolves when the service can be relied upon; its work goes on. `signal` aborts the start. */
  start(signal: AbortSignal): Promise<void>;
  /** Finishes what was accepted. When `deadline` aborts it lets go at once. Never throws. */
  stop(deadline: AbortSignal): Promise<void>;
}
