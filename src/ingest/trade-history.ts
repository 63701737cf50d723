/** Trades by REST, by their ids: the same events, to the digit, as from the socket. */
import { codeOf } from '../errors.ts';
import type { History, RestRequest } from './adapter.ts';
import type { Instrument, Micros, Trade } from './events.ts';
import type { Rest } from './rest.ts';

export interface TradeHistoryOptions {
  readonly exchange: string;
  readonly trades: NonNullable<History['trades']>;
  readonly rest: Pick<Rest, 'get'>;
  /** Wall clock. */
  readonly now: () => Micros;
}

/** What is shown live comes first: books, then candles. */
const PRIORITY = -1;

export type TradeHistory = ReturnType<typeof createTradeHistory>;

export function createTradeHistory({ exchange, trades, rest, now }: TradeHistoryOptions) {
  async function ask(
    request: RestRequest,
    { symbol, venueSymbol }: Instrument,
    signal: AbortSignal,
  ): Promise<Trade[]> {
    const body = await rest.get(request, signal, PRIORITY);
    const receivedAt = now();
    const stamp = { type: 'trade' as const, exchange, symbol, receivedAt };
    return trades.parse(body, venueSymbol).map(({ tradeId, side, price, quantity, time }) => ({
      ...stamp,
      time,
      tradeId,
      side,
      price,
      quantity,
    }));
  }

  return {
    /**
     * As many as one answer holds, from an id on, in the order of ids; none when the exchange does
     * not show that far back. Rejects as the client does.
     */
    async from(instrument: Instrument, id: bigint, signal: AbortSignal): Promise<Trade[]> {
      try {
        const request = trades.request(instrument.venueSymbol, String(id));
        const shown = await ask(request, instrument, signal);
        return shown.filter(({ tradeId }) => BigInt(tradeId) >= id);
      } catch (error) {
        if (codeOf(error) === 'rest_refused') return [];
        throw error;
      }
    },
    /** Undefined before the first trade of a market. Rejects as the client does. */
    newest: async (instrument: Instrument, signal: AbortSignal): Promise<Trade | undefined> =>
      (await ask(trades.newest(instrument.venueSymbol), instrument, signal)).at(-1),
  };
}
