/**
 * The status page: `/`, its files, and `/events`, which tells it by server-sent events
 *
 *   status   the daemon and its streams, each second
 *   market   trades, open candle and book of one symbol, a few times a second
 *   candles  its closed candles, when there is a new one
 *
 * While nobody watches, an event of the feed costs one test.
 */
import type { Pages, Route } from '../http-server.ts';
import type { MarketEvent } from '../ingest/events.ts';
import type { Logger } from '../log.ts';
import { loadAssets } from './assets.ts';
import { createMarketView } from './market-view.ts';
import { createStatusView, type StatusViewOptions } from './status-view.ts';
import { createSubscribers, type Message } from './subscribers.ts';

const MAX_SUBSCRIBERS = 8;
const TICK_MS = 250;
const STATUS_EVERY_MS = 1_000;
const STUCK_AFTER_MS = 10_000;

export interface StatusPage extends Pages {
  /** Each trade, and each change of a book. */
  seen(event: MarketEvent): void;
  /** Each event that becomes a row. */
  recorded(event: MarketEvent): void;
}

export interface StatusPageOptions extends StatusViewOptions {
  readonly symbols: readonly string[];
  readonly logger: Logger;
}

export function createStatusPage(options: StatusPageOptions): StatusPage {
  const { symbols, logger } = options;
  const market = createMarketView(symbols);
  const subscribers = createSubscribers({
    limit: MAX_SUBSCRIBERS,
    tickMs: TICK_MS,
    stuckAfterMs: STUCK_AFTER_MS,
    messages,
    onFirst: watch,
    onLast: unwatch,
  });
  /** JSON by event and symbol, made once for all that watch. */
  const made = new Map<string, { readonly version: number; readonly text: string }>();
  let status = { version: 0, text: '' };
  let looking: NodeJS.Timeout | undefined;

  function watch(): void {
    market.watch();
    const view = createStatusView(options, market);
    const look = async () => {
      try {
        const text = JSON.stringify({ ...(await view()), atMs: Date.now(), symbols });
        // Unless the last one left meanwhile.
        if (looking === timer) status = { version: status.version + 1, text };
      } catch (error) {
        logger.error({ err: error }, 'status page cannot tell the status');
      }
    };
    const timer = setInterval(() => void look(), STATUS_EVERY_MS);
    looking = timer;
    void look();
  }

  function unwatch(): void {
    clearInterval(looking);
    looking = undefined;
    market.unwatch();
    made.clear();
    status = { version: status.version, text: '' };
  }

  function messages(symbol: string): readonly Message[] {
    const versions = market.versions(symbol);
    return [
      ...(status.text === ''
        ? []
        : [{ event: 'status', version: status.version, text: () => status.text }]),
      message('candles', symbol, versions.candles, market.closed),
      message('market', symbol, versions.market, market.present),
    ];
  }

  function message(
    event: string,
    symbol: string,
    version: number,
    compose: (symbol: string) => unknown,
  ): Message {
    const text = () => {
      const key = `${event} ${symbol}`;
      let last = made.get(key);
      if (last?.version !== version) {
        last = { version, text: JSON.stringify(compose(symbol)) };
        made.set(key, last);
      }
      return last.text;
    };
    return { event, version, text };
  }

  const events: Route = async (request, response) => {
    const query = URL.parse(request.url ?? '/', 'http://localhost')?.searchParams;
    const symbol = query?.get('symbol') ?? symbols[0] ?? '';
    if (!market.knows(symbol)) return plain(404, 'no such symbol here\n');
    if (!subscribers.hasRoom()) {
      const headers = { 'Retry-After': '5' };
      return { ...plain(503, `at most ${MAX_SUBSCRIBERS} may watch\n`), headers };
    }
    response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      // So that a proxy passes each message on.
      'X-Accel-Buffering': 'no',
      // Nothing can follow on this connection; without, the server could not stop before it times out.
      Connection: 'close',
    });
    if (request.method === 'HEAD') response.end();
    else subscribers.add(symbol, response);
    return undefined;
  };

  return {
    routes: { ...loadAssets(), '/events': events },
    seen: market.seen,
    recorded: market.recorded,
    close: subscribers.close,
  };
}

function plain(status: number, body: string) {
  return { status, type: 'text/plain; charset=utf-8', body };
}
