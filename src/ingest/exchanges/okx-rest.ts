/**
 * OKX's REST answers, read by the normalizer of its streams. The evidence is in okx.ts.
 */
import type { History, MarketList, RestRequest } from '../adapter.ts';
import type { Instrument } from '../events.ts';
import {
  array,
  object,
  parseObject,
  precisionOf,
  refusedAnswer,
  type Row,
  ruleOf,
  said,
  shortText,
} from '../wire.ts';
import { candle } from './okx-streams.ts';

export const markets: MarketList = {
  requests: [listOf('SPOT'), listOf('SWAP')],
  parse: (body) => dataOf(body).flatMap(instrument),
};

export const history: History = {
  candles: {
    maxRows: 100,
    request: (venueSymbol, from, to) => ({
      // Not `candles`, which ends after 1,440 minutes.
      path: '/api/v5/market/history-candles',
      // `after` is before, and both exclude.
      query: {
        instId: venueSymbol,
        bar: '1m',
        before: String(from / 1000 - 1),
        after: String(to / 1000 + 1),
        limit: '100',
      },
      weight: 1,
    }),
    parse: (body, venueSymbol) =>
      dataOf(body)
        .map((row) => candle(row, venueSymbol))
        .toReversed(),
    emptyMinutes: 'present',
  },
};

function listOf(instType: string): RestRequest {
  return { path: '/api/v5/public/instruments', query: { instType }, weight: 1 };
}

function instrument(value: unknown): Instrument[] {
  const row = object(value, 'data');
  const isSwap = row.instType === 'SWAP';
  // A swap has no currencies of its own: `uly` is what it follows, BTC-USDT.
  const [base, quote] = isSwap ? said(row.uly).split('-') : [row.baseCcy, row.quoteCcy];
  if ((row.instType !== 'SPOT' && !isSwap) || !base || !quote) return [];
  const pair = { base: shortText(base, 'base'), quote: shortText(quote, 'quote') };
  const settle = isSwap ? `:${shortText(row.settleCcy, 'settleCcy')}` : '';
  return [
    {
      symbol: `${pair.base}/${pair.quote}${settle}`,
      venueSymbol: shortText(row.instId, 'instId'),
      ...pair,
      // preopen, suspend, rebase, test.
      status: row.state === 'live' ? 'active' : 'inactive',
      minOrderSize: ruleOf(row.minSz, 'minSz'),
      maxOrderSize: ruleOf(row.maxLmtSz, 'maxLmtSz'),
      pricePrecision: precisionOf(ruleOf(row.tickSz, 'tickSz')),
      quantityPrecision: precisionOf(ruleOf(row.lotSz, 'lotSz')),
    },
  ];
}

/** Of a REST answer; errors come with status 200. */
function dataOf(body: string): readonly unknown[] {
  const { code, msg, data } = parseObject<Row>(body);
  if (code !== '0') throw refusedAnswer(`${said(code)}: ${said(msg)}`);
  return array(data, 'data');
}
