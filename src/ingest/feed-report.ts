/** What the feed says of itself to the health server. */
import type { PartReport } from '../health.ts';
import type { SourceStatus } from './source.ts';

/** Without any connection for this long the promise does not hold. */
const DISCONNECTED_FAILING_MS = 30_000;

export function createFeedReport(status: () => SourceStatus): () => PartReport {
  let connectedAtMs = performance.now();

  return () => {
    const { connections, orderBooksInSync, streams } = status();
    const nowMs = performance.now();
    if (connections.open > 0) connectedAtMs = nowMs;
    const reasons: PartReport['reasons'][number][] = [];
    if (connections.open === 0) {
      const seconds = Math.round((nowMs - connectedAtMs) / 1000);
      const severity = nowMs - connectedAtMs > DISCONNECTED_FAILING_MS ? 'failing' : 'degraded';
      reasons.push({ code: 'no_stream', severity, detail: `not connected for ${seconds} s` });
    }
    for (const { channel, symbol, silentMs, state } of streams) {
      if (state !== 'stale') continue;
      const detail = `${symbol} ${channel} silent for ${Math.round(silentMs / 1000)} s`;
      reasons.push({ code: 'stale', severity: 'failing', detail });
    }
    return {
      ready: connections.wanted > 0 && connections.open === connections.wanted,
      reasons,
      status: { connections, orderBooksInSync, streams },
    };
  };
}
