/**
 * Kraken's REST answers, read by the normalizer of its streams. The evidence is in kraken.ts.
 */
import type { DecodedCandle, History, MarketList } from '../adapter.ts';
import type { Instrument } from '../events.ts';
import {
  array,
  epochMicros,
  integer,
  object,
  parseObject,
  plainDecimal,
  refusedAnswer,
  type Row,
} from '../wire.ts';
import { candleOf } from './kraken-streams.ts';

export const markets: MarketList = {
  requests: [{ path: '/0/public/AssetPairs', query: {}, weight: 1 }],
  parse: (body) => Object.values(resultOf(body)).flatMap(instrument),
};

export const history: History = {
  candles: {
    maxRows: 720,
    request: (venueSymbol, from) => ({
      path: '/0/public/OHLC',
      // What is asked for comes after `since`.
      query: { pair: restPair(venueSymbol), interval: '1', since: String(from / 1e6 - 60) },
      weight: 1,
    }),
    parse: parseCandles,
    emptyMinutes: 'present',
  },
};

/** `[[time, open, high, low, close, vwap, volume, trades], ...]`; `last` is the last that is closed. */
function parseCandles(body: string, venueSymbol: string): DecodedCandle[] {
  const { last, ...byPair } = resultOf(body);
  return array(Object.values(byPair)[0], 'rows').map((value) => {
    const [seconds, open, high, low, close, , volume, trades] = array(value, 'row');
    const time = epochMicros(integer(seconds, 'time') * 1000, 'time');
    const closed = Number(seconds) <= integer(last, 'last');
    return candleOf(venueSymbol, time, [open, high, low, close, volume], trades, closed);
  });
}

/** The names that REST has kept, and those of v2. */
const RENAMED = [
  ['XBT', 'BTC'],
  ['XDG', 'DOGE'],
] as const;

/** `BTC/USD` -> `XBTUSD` */
function restPair(venueSymbol: string): string {
  const names = venueSymbol.split('/');
  return names.map((name) => RENAMED.find(([, now]) => now === name)?.[0] ?? name).join('');
}

/** Statuses in which orders may meet; older lists have none. The others are halts. */
const TRADING: readonly unknown[] = ['online', 'limit_only', 'reduce_only', undefined];

function instrument(value: unknown): Instrument[] {
  const pair = object(value, 'pair');
  // Dark pools have no name on the socket.
  const names = typeof pair.wsname === 'string' ? pair.wsname.split('/') : [];
  const [base, quote] = names.map((name) => RENAMED.find(([was]) => was === name)?.[1] ?? name);
  if (!base || !quote) return [];
  return [
    {
      symbol: `${base}/${quote}`,
      venueSymbol: `${base}/${quote}`,
      base,
      quote,
      status: TRADING.includes(pair.status) ? 'active' : 'inactive',
      minOrderSize: pair.ordermin === undefined ? null : plainDecimal(pair.ordermin, 'ordermin'),
      maxOrderSize: null,
      pricePrecision: integer(pair.pair_decimals, 'pair_decimals'),
      quantityPrecision: integer(pair.lot_decimals, 'lot_decimals'),
    },
  ];
}

/** Of a REST request; errors come with status 200. */
function resultOf(body: string): Row {
  const { error, result } = parseObject<Row>(body);
  if (result === undefined) throw refusedAnswer(error);
  return object(result, 'result');
}
