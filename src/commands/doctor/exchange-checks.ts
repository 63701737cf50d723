/** The exchange, as the daemon would find it: REST, WebSocket, symbols, clock. */
import { WebSocket } from 'ws';
import type { Config } from '../../config.ts';
import { HyperfeedError, reasonOf } from '../../errors.ts';
import type { WsAdapter } from '../../ingest/adapter.ts';
import type { Instrument } from '../../ingest/events.ts';
import { type Exchange, isNative, listMarkets } from '../../ingest/exchange.ts';
import { assumeInstrument, resolveInstruments } from '../../ingest/instruments.ts';
import type { Logger } from '../../log.ts';
import { checkExchangeUrls, MIN_TLS_VERSION } from '../../transport.ts';
import { type Check, ok, problem, skipped } from './check.ts';
import { clockFinding } from './clock.ts';

const REST_TIMEOUT_MS = 30_000;
const CLOCK_TIMEOUT_MS = 10_000;
const UNREACHABLE =
  'can this machine reach the exchange? DNS, a firewall, a proxy, a block by country; its status page';

export function exchangeChecks(exchange: Exchange, config: Config, logger: Logger): Check[] {
  let markets: readonly Instrument[] = [];
  return [
    {
      name: 'exchange REST',
      timeoutMs: REST_TIMEOUT_MS,
      todo: UNREACHABLE,
      async run(signal) {
        const startedAt = performance.now();
        markets = await listMarkets(exchange, config, logger, signal);
        const tookMs = Math.round(performance.now() - startedAt);
        return [ok(`${exchange.id} lists ${markets.length} markets, in ${tookMs} ms`)];
      },
    },
    {
      name: 'symbols',
      after: 'exchange REST',
      timeoutMs: 1_000,
      todo: `hyperfeed symbols -e ${config.exchange}`,
      run: async () => judgeSymbols(config, markets),
    },
    ...(isNative(exchange) ? nativeChecks(exchange, config) : []),
  ];
}

function judgeSymbols({ exchange, symbols }: Config, markets: readonly Instrument[]) {
  const idle = resolveInstruments(symbols, markets).filter(({ status }) => status !== 'active');
  if (idle.length === 0) return [ok(`${symbols.join(', ')}: listed, and traded`)];
  return idle.map(({ symbol, status }) =>
    problem(
      `${symbol} is ${status === 'inactive' ? 'halted' : 'delisted'}`,
      `take it out of symbols until it is traded again; hyperfeed symbols -e ${exchange} lists the others`,
    ),
  );
}

function nativeChecks(adapter: WsAdapter, config: Config): Check[] {
  const { connection } = config;
  const restUrl = connection.restUrl ?? adapter.urls.rest;
  const wsUrl = (connection.wsUrl ?? adapter.urls.ws).replace(/\/$/, '');
  return [
    {
      name: 'exchange WebSocket',
      timeoutMs: connection.openTimeoutMs + 1_000,
      todo: UNREACHABLE,
      async run(signal) {
        checkExchangeUrls(connection);
        const startedAt = performance.now();
        await opens(wsUrl + pathOf(adapter, config), adapter, connection.openTimeoutMs, signal);
        const tookMs = Math.round(performance.now() - startedAt);
        return [ok(`${new URL(wsUrl).host} opens in ${tookMs} ms`)];
      },
    },
    {
      name: 'exchange clock',
      after: 'exchange REST',
      timeoutMs: CLOCK_TIMEOUT_MS,
      todo: UNREACHABLE,
      async run(signal) {
        const path = adapter.markets?.requests[0]?.path ?? '/';
        const sentAt = Date.now();
        const answer = await fetch(restUrl.replace(/\/$/, '') + path, { method: 'HEAD', signal });
        const date = Date.parse(answer.headers.get('date') ?? '');
        if (Number.isNaN(date)) return [skipped('its answers carry no Date')];
        // The header has whole seconds, rounded down.
        return [
          clockFinding({ fromMs: date - Date.now(), toMs: date + 1000 - sentAt }, adapter.id),
        ];
      },
    },
  ];
}

function pathOf(adapter: WsAdapter, { symbols, channels }: Config): string {
  const streams = channels
    .filter((channel) => adapter.channels[channel] !== undefined)
    .flatMap((channel) =>
      symbols.map((symbol) => ({
        channel,
        venueSymbol: assumeInstrument(symbol, adapter).venueSymbol,
      })),
    );
  return adapter.endpoints(streams)[0]?.path ?? '';
}

/** Nothing is subscribed. */
async function opens(
  url: string,
  { transport }: WsAdapter,
  handshakeTimeout: number,
  signal: AbortSignal,
): Promise<void> {
  const socket = new WebSocket(url, {
    handshakeTimeout,
    perMessageDeflate: transport?.perMessageDeflate ?? false,
    minVersion: MIN_TLS_VERSION,
    rejectUnauthorized: true,
  });
  const opened = Promise.withResolvers<void>();
  socket.on('open', opened.resolve);
  socket.on('error', (error) => opened.reject(new HyperfeedError('websocket', reasonOf(error))));
  signal.addEventListener('abort', () => opened.reject(signal.reason as Error), { once: true });
  try {
    await opened.promise;
  } finally {
    socket.terminate();
  }
}
