/**
 * Which streams have fallen silent. A busy stream is stale after the configured time; a quiet one
 * after three times the longest pause it made lately, so that a thin market raises no false alarm
 * twice. What is learned outlives the connection.
 */
import type { StreamKey } from './adapter.ts';
import type { Channel } from './events.ts';

const WINDOW_MS = 600_000;

/** Times are monotonic ms. */
export interface WatchedStream extends StreamKey {
  messages: number;
  /** Of the last data; of the start while there was none. */
  lastAtMs: number;
  /** Silence counts from here: the last data, or since when the connection is live. */
  silentSinceMs: number;
  /** What was tried in this silence. */
  remedy: 'none' | 'resubscribed' | 'replaced';
  /** Longest pauses of this window and of the one before. */
  pauseMs: number;
  previousPauseMs: number;
  windowStartMs: number;
}

export function watchStream(key: StreamKey, nowMs: number): WatchedStream {
  return {
    ...key,
    messages: 0,
    lastAtMs: nowMs,
    silentSinceMs: nowMs,
    remedy: 'none',
    pauseMs: 0,
    previousPauseMs: 0,
    windowStartMs: nowMs,
  };
}

/** Data came in. */
export function noteData(stream: WatchedStream, nowMs: number): void {
  if (nowMs - stream.windowStartMs > WINDOW_MS) {
    stream.previousPauseMs = stream.pauseMs;
    stream.pauseMs = 0;
    stream.windowStartMs = nowMs;
  }
  const pause = nowMs - stream.silentSinceMs;
  if (pause > stream.pauseMs) stream.pauseMs = pause;
  stream.lastAtMs = nowMs;
  stream.silentSinceMs = nowMs;
  stream.remedy = 'none';
  stream.messages++;
}

/** Silence that is not normal for this stream. */
export function silenceLimitMs(
  stream: WatchedStream,
  staleAfterMs: Readonly<Record<Channel, number>>,
): number {
  // Before the first message its usual pause is unknown.
  const patience = stream.messages === 0 ? 3 : 1;
  const usual = 3 * Math.max(stream.pauseMs, stream.previousPauseMs);
  return Math.max(staleAfterMs[stream.channel] * patience, usual);
}
