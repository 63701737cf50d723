/** What a command about the past is asked for, checked against what the exchange shows of it. */
import type { Config } from '../../config.ts';
import { UsageError } from '../../errors.ts';
import type { Instrument, Micros } from '../../ingest/events.ts';
import { type Exchange, type ExchangeHistory, openHistory } from '../../ingest/exchange.ts';
import { resolveInstruments } from '../../ingest/instruments.ts';
import { MINUTE, minuteOf } from '../../ingest/minutes.ts';
import { loadExchange } from '../../ingest/registry.ts';
import type { Logger } from '../../log.ts';
import { parseRange, type TimeRange } from './moment.ts';

export interface HistoryFlags {
  readonly from: string;
  readonly to?: string | undefined;
  readonly trades: boolean;
  readonly candles: boolean;
}

export interface Asked {
  readonly history: ExchangeHistory;
  readonly range: TimeRange;
  readonly candles: ExchangeHistory['candles'];
  readonly trades: ExchangeHistory['trades'];
  readonly instruments: readonly Instrument[];
  /** All that the exchange lists. */
  readonly markets: readonly Instrument[];
}

/** What is younger may still come, or change, in the history of an exchange. */
const SETTLED_AFTER: Micros = 2 * MINUTE;

/** Throws UsageError for what cannot be had, and as the client does. */
export async function ask(
  flags: HistoryFlags,
  config: Config,
  logger: Logger,
  signal: AbortSignal,
): Promise<Asked> {
  const now = Date.now() * 1000;
  const { from, to } = parseRange(flags.from, flags.to, now);
  const range = { from, to: Math.min(to, now - SETTLED_AFTER) };
  if (range.from >= range.to) {
    throw new UsageError(
      'too_young',
      `--from ${flags.from}: what is younger than two minutes may still change at the exchange`,
    );
  }
  if (!flags.candles && !flags.trades) {
    throw new UsageError('nothing_asked', '--no-candles without --trades leaves nothing to do');
  }
  const exchange = await loadExchange(config.exchange);
  const history = openHistory(exchange, config, logger);
  const { candles, trades } = history;
  if (flags.candles && !candles) throw noCandles(history.exchange);
  if (flags.trades && !trades) throw noTrades(exchange);
  const markets = await history.markets(signal);
  return {
    history,
    range,
    candles: flags.candles ? candles : undefined,
    trades: flags.trades ? trades : undefined,
    instruments: resolveInstruments(config.symbols, markets),
    markets,
  };
}

/** Minutes that lie in the range as a whole; `to` before `from`: none. */
export function minutesOf({ from, to }: TimeRange): { readonly from: Micros; readonly to: Micros } {
  return { from: minuteOf(from + MINUTE - 1), to: minuteOf(to) - MINUTE };
}

function noCandles(exchange: string): UsageError {
  return new UsageError(
    'no_history',
    `${exchange} shows no history of candles of a minute by REST`,
  );
}

function noTrades({ id, channels }: Exchange): UsageError {
  const provenance = channels.trades ?? 'no such channel';
  const why =
    provenance === 'ids'
      ? 'its trades have ids that count up, but its REST does not show them by id'
      : 'the ids of its trades do not tell which are missing';
  return new UsageError(
    'no_history',
    `${id} has no history of trades that rows could be taken from: ${why} (provenance of trades: ` +
      `${provenance}). Leave --trades out for its candles; trades of now come by hyperfeed run`,
  );
}
