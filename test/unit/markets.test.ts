import { expect, test } from 'vitest';
import type { RestRequest } from '../../src/ingest/adapter.ts';
import { bybitLinear } from '../../src/ingest/exchanges/bybit-linear.ts';
import type { Instrument } from '../../src/ingest/events.ts';
import { createMarkets } from '../../src/ingest/markets.ts';
import { createLogger } from '../../src/log.ts';

const page = (coin: string, nextPageCursor: string) =>
  JSON.stringify({
    retCode: 0,
    result: {
      list: [
        {
          symbol: `${coin}USDT`,
          status: 'Trading',
          baseCoin: coin,
          quoteCoin: 'USDT',
          lotSizeFilter: {},
          priceFilter: {},
        },
      ],
      nextPageCursor,
    },
  });

test('a list that comes in pages is one list', async () => {
  const asked: (string | undefined)[] = [];
  const lists: Instrument[][] = [];
  const markets = createMarkets({
    adapter: bybitLinear,
    rest: {
      get: (request: RestRequest) => {
        asked.push(request.query['cursor']);
        const body = { first: page('ETH', 'second'), second: page('SOL', '') };
        return Promise.resolve(
          body[request.query['cursor'] as keyof typeof body] ?? page('BTC', 'first'),
        );
      },
    },
    symbols: [],
    onMarkets: (list) => lists.push([...list]),
    logger: createLogger({ level: 'fatal' }),
  });
  const names = ['BTC/USDT:USDT', 'ETH/USDT:USDT', 'SOL/USDT:USDT'];
  expect((await markets.list(AbortSignal.timeout(1_000))).map(({ symbol }) => symbol)).toEqual(
    names,
  );
  expect(asked).toEqual([undefined, 'first', 'second']);
  expect(lists.map((list) => list.length)).toEqual([3]);
});
