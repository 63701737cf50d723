import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createKeyspace, type RedisKey } from '../../src/schema/keyspace.ts';
import {
  readRiskLimits,
  readStrategy,
  riskLimitFields,
} from '../../src/schema/keyspace/configuration.ts';
import { readMetric, readOrderBook, readPrice } from '../../src/schema/keyspace/market.ts';
import { readRateLimit } from '../../src/schema/keyspace/rate-limit.ts';
import { readRefreshToken, readSession } from '../../src/schema/keyspace/sessions.ts';

const keys = createKeyspace();

test('other services import it by name', async () => {
  const run = promisify(execFile);
  const program = `
    import { createKeyspace } from 'hyperfeed/keyspace';
    import { readPrice } from 'hyperfeed/keyspace/market';
    const fields = { price: '1.10', volume: '2', timestamp: '3' };
    console.log(createKeyspace().price('binance', 'BTC/USDT'), JSON.stringify(readPrice(fields)));
  `;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], {
    cwd: import.meta.dirname,
  });
  expect(stdout).toBe('price:binance:BTC/USDT {"price":"1.10","volume":"2","timestamp":3}\n');
});

describe('names', () => {
  test('are those of the document', () => {
    expect([
      keys.session('t0ken'),
      keys.refreshToken('t0ken'),
      keys.price('binance', 'BTC/USDT'),
      keys.orderBook('binance', 'BTC/USDT'),
      keys.activeStrategies,
      keys.strategy(7),
      keys.riskLimits(42),
      keys.metric('hyperfeed', 'events_per_second'),
      keys.rateLimit(42, '/orders'),
    ]).toEqual([
      'session:t0ken',
      'refresh_token:t0ken',
      'price:binance:BTC/USDT',
      'orderbook:binance:BTC/USDT',
      'strategies:active',
      'strategy:7',
      'risk_limits:42',
      'metrics:hyperfeed:events_per_second',
      'rate_limit:42:/orders',
    ]);
  });

  const word = fc.string({ minLength: 1 }).filter((text) => !text.includes(':'));
  const rest = fc.oneof(fc.string({ minLength: 1 }), fc.constant('BTC/USDT:USDT'));
  const id = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const key: fc.Arbitrary<RedisKey> = fc.oneof(
    fc.record({ kind: fc.constantFrom('session', 'refresh_token'), token: rest }),
    fc.record({ kind: fc.constantFrom('price', 'orderbook'), exchange: word, symbol: rest }),
    fc.record({ kind: fc.constant('strategies' as const) }),
    fc.record({ kind: fc.constant('strategy' as const), id }),
    fc.record({ kind: fc.constant('risk_limits' as const), userId: id }),
    fc.record({ kind: fc.constant('metrics' as const), component: word, name: rest }),
    fc.record({ kind: fc.constant('rate_limit' as const), userId: id, endpoint: rest }),
  );

  test('are read back, whatever the prefix and the parts', () => {
    fc.assert(
      fc.property(fc.string(), key, (prefix, parts) => {
        const space = createKeyspace(prefix);
        expect(space.parse(nameOf(space, parts))).toEqual(parts);
      }),
    );
  });

  test.each([
    '',
    'price',
    'price:binance',
    'price:binance:',
    'price::BTC/USDT',
    'session:',
    'strategies:inactive',
    'strategy:1e3',
    'strategy:007',
    'strategy:12345678901',
    'strategy:5:versions',
    'risk_limits:all',
    'rate_limit:anonymous:/orders',
    'sess:a:b',
  ])('know that %j is not one of them', (name) => {
    expect(keys.parse(name)).toBeUndefined();
  });

  test('without the prefix are not ours', () => {
    expect(createKeyspace('prod:').parse('price:binance:BTC/USDT')).toBeUndefined();
  });

  test('a prefix means itself in a pattern', () => {
    expect(createKeyspace('a*[b]?\\:').pattern('session')).toBe('a\\*\\[b\\]\\?\\\\:session:*');
  });
});

describe('fields', () => {
  test('leave every digit of a number as it is', () => {
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

  test('of risk limits tell no limit from a limit, digit by digit', () => {
    const digits = fc
      .tuple(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.bigInt({ min: 0n }))
      .map(([whole, fraction]) => `${whole}.${fraction}`);
    const limit = fc.option(digits);
    fc.assert(
      fc.property(
        fc.record({ maxPositionValue: limit, maxDailyLoss: limit, maxDrawdown: limit }),
        (limits) => {
          expect(readRiskLimits(riskLimitFields(limits))).toEqual(limits);
        },
      ),
    );
  });

  test('of a key that is gone read as undefined', () => {
    const readers = [
      readSession,
      readRefreshToken,
      readPrice,
      readOrderBook,
      readStrategy,
      readRiskLimits,
      readMetric,
      readRateLimit,
    ];
    for (const read of readers) expect(read({})).toBeUndefined();
  });

  test('a session that was half written is none', () => {
    expect(readSession({ last_accessed: '5' })).toBeUndefined();
    expect(readSession({ user_id: '1', expires_at: '5' })).toBeUndefined();
  });
});

function nameOf(space: ReturnType<typeof createKeyspace>, key: RedisKey): string {
  switch (key.kind) {
    case 'session':
      return space.session(key.token);
    case 'refresh_token':
      return space.refreshToken(key.token);
    case 'price':
      return space.price(key.exchange, key.symbol);
    case 'orderbook':
      return space.orderBook(key.exchange, key.symbol);
    case 'strategies':
      return space.activeStrategies;
    case 'strategy':
      return space.strategy(key.id);
    case 'risk_limits':
      return space.riskLimits(key.userId);
    case 'metrics':
      return space.metric(key.component, key.name);
    case 'rate_limit':
      return space.rateLimit(key.userId, key.endpoint);
  }
}
