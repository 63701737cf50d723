import { describe, expect, test } from 'vitest';
import { createKeyspace, readMetric, readOrderBook, readPrice } from '../../src/schema/keyspace.ts';

describe('keyspace', () => {
  const keys = createKeyspace();

  test('names keys as the document does', () => {
    expect(keys.price('binance', 'BTC/USDT')).toBe('price:binance:BTC/USDT');
    expect(keys.orderBook('binance', 'BTC/USDT')).toBe('orderbook:binance:BTC/USDT');
    expect(keys.metric('hyperfeed', 'events_per_second')).toBe(
      'metrics:hyperfeed:events_per_second',
    );
  });

  test.each(['BTC/USDT', 'BTC/USDT:USDT', 'BTC/USD:BTC-260925-100000-C', 'a:b:c'])(
    'reads back the symbol %s',
    (symbol) => {
      for (const { price, orderBook, parse } of [keys, createKeyspace('prod:eu:')]) {
        const named = { exchange: 'okx', symbol };
        expect(parse(price('okx', symbol))).toEqual({ kind: 'price', ...named });
        expect(parse(orderBook('okx', symbol))).toEqual({ kind: 'orderbook', ...named });
      }
    },
  );

  test('reads back a metric', () => {
    const name = 'commit_latency:p99';
    expect(keys.parse(keys.metric('writer', name))).toEqual({
      kind: 'metrics',
      component: 'writer',
      name,
    });
  });

  test.each(['', 'price', 'price:binance', 'price:binance:', 'price::BTC/USDT', 'session:a:b'])(
    'knows that %j is not its own',
    (key) => {
      expect(keys.parse(key)).toBeUndefined();
    },
  );

  test('a key without the prefix is not its own', () => {
    expect(createKeyspace('prod:').parse('price:binance:BTC/USDT')).toBeUndefined();
  });

  test('leaves every digit of a number as it is', () => {
    expect(
      readPrice({ price: '61837.63000000', volume: '0.00100000', timestamp: '1700000000123' }),
    ).toEqual({ price: '61837.63000000', volume: '0.00100000', timestamp: 1_700_000_000_123 });
    expect(
      readOrderBook({
        bids: '[["100.10","1.50"],["100.00","2"]]',
        asks: '[]',
        timestamp: '1700000000123',
      }),
    ).toEqual({
      bids: [
        ['100.10', '1.50'],
        ['100.00', '2'],
      ],
      asks: [],
      timestamp: 1_700_000_000_123,
    });
    expect(readMetric({ value: '1.0', timestamp: '5' })).toEqual({ value: '1.0', timestamp: 5 });
  });

  test('HGETALL of a key that is gone reads as undefined', () => {
    expect([readPrice({}), readOrderBook({}), readMetric({})]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
