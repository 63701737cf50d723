/** An exchange, whichever way it is spoken to: by an adapter of ours, or by ccxt. */
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { checkExchangeUrls } from '../transport.ts';
import type { History, WsAdapter } from './adapter.ts';
import { type CcxtExchange, requireChannels } from './ccxt-exchange.ts';
import { createCcxtRest } from './ccxt-rest.ts';
import { createCcxtSource } from './ccxt-source.ts';
import type { Instrument, Micros } from './events.ts';
import { createMarkets, type MarketsOptions } from './markets.ts';
import { createPatientRest } from './patient-rest.ts';
import { createRest, type Rest } from './rest.ts';
import type { MarketSource, Plan } from './source.ts';
import type { TradeHistoryOptions } from './trade-history.ts';
import { createWsSource } from './ws-source.ts';

const ATTEMPTS_AT_START = 4;

export type Exchange = WsAdapter | CcxtExchange;

export function isNative(exchange: Exchange): exchange is WsAdapter {
  return !('ccxtId' in exchange);
}

export interface ExchangeOptions {
  readonly exchange: Exchange;
  readonly config: Config;
  readonly onMarkets: MarketsOptions['onMarkets'];
  /** Wall clock. */
  readonly now: () => Micros;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface OpenExchange {
  readonly source: MarketSource;
  /** Throws UsageError for symbols or channels that the exchange has not. */
  plan(signal: AbortSignal): Promise<Plan>;
  /** As `tradesById`. */
  readonly tradeHistory?: TradeHistoryOptions | undefined;
}

/** Nothing is connected before the source runs. */
export function openExchange(options: ExchangeOptions): OpenExchange {
  const { exchange, config } = options;
  checkExchangeUrls(config.connection);
  const { symbols, channels } = config;
  if (isNative(exchange)) {
    const rest = restOf(exchange, config);
    const trades = tradesById(exchange);
    const markets = createMarkets({ ...options, adapter: exchange, rest, symbols });
    return {
      source: createWsSource({ ...options, adapter: exchange, rest }),
      plan: async (signal) => ({ instruments: await markets.resolve(signal), channels }),
      tradeHistory: trades && { exchange: exchange.id, trades, rest, now: options.now },
    };
  }
  const rest = createCcxtRest(exchange, config);
  const markets = createMarkets({ ...options, ...rest, symbols });
  return {
    source: createCcxtSource({ ...options, exchange, rest }),
    async plan(signal) {
      requireChannels(exchange, channels);
      return { instruments: await markets.resolve(signal), channels };
    },
  };
}

/** How trades are asked for by id; undefined where they cannot be, or ids do not tell what is missing. */
export function tradesById(exchange: Exchange) {
  const counted = exchange.channels.trades === 'ids';
  return counted && isNative(exchange) ? exchange.history?.trades : undefined;
}

/** What an exchange shows of its past by REST. */
export interface ExchangeHistory {
  readonly exchange: string;
  readonly rest: Pick<Rest, 'get'>;
  readonly candles: History['candles'];
  /** As `tradesById`. */
  readonly trades: History['trades'];
  /** Every market that the exchange lists. Rejects as the client does. */
  markets(signal: AbortSignal): Promise<Instrument[]>;
}

/** Nothing is connected before it is asked. All requests share one budget. */
export function openHistory(exchange: Exchange, config: Config, logger: Logger): ExchangeHistory {
  checkExchangeUrls(config.connection);
  const { adapter, rest: plain } = isNative(exchange)
    ? { adapter: exchange, rest: restOf(exchange, config) }
    : createCcxtRest(exchange, config);
  const rest = createPatientRest(plain, logger);
  // Nothing is done yet: an exchange that cannot be reached at all is told in seconds.
  const first = createPatientRest(plain, logger, ATTEMPTS_AT_START);
  const onMarkets = () => undefined;
  const markets = createMarkets({ adapter, rest: first, symbols: [], onMarkets, logger });
  const { candles } = adapter.history ?? {};
  return {
    exchange: exchange.id,
    rest,
    candles,
    trades: tradesById(exchange),
    markets: markets.list,
  };
}

/** Every market that the exchange lists. Rejects as the client does. */
export function listMarkets(
  exchange: Exchange,
  config: Config,
  logger: Logger,
  signal: AbortSignal,
): Promise<Instrument[]> {
  checkExchangeUrls(config.connection);
  const client = isNative(exchange)
    ? { adapter: exchange, rest: restOf(exchange, config) }
    : createCcxtRest(exchange, config);
  return createMarkets({ ...client, symbols: [], onMarkets: () => undefined, logger }).list(signal);
}

function restOf({ urls, limits }: WsAdapter, { connection }: Config) {
  return createRest({
    baseUrl: connection.restUrl ?? urls.rest,
    weightPerMinute: limits.restWeightPerMinute,
  });
}
