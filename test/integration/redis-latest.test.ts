/** What the sink leaves in a healthy Redis. */
import { expect, test } from 'vitest';
import { createKeyspace } from '../../src/schema/keyspace.ts';
import { createMarket } from '../../src/schema/keyspace/market.ts';
import { bookOf, metricValue, redisClient, startLatest, tradeOf } from '../support/latest.ts';
import { redisDatabase, waitFor } from '../support/stack.ts';

test('a trade and a book become the hashes of the schema document, digit by digit', async () => {
  const url = await redisDatabase();
  const client = redisClient(url);
  const { latest } = await startLatest({ url });
  latest.push({ ...tradeOf('BTC/USDT', 1), time: 1_760_000_000_123_999, price: '61837.63000000' });
  latest.push({
    ...bookOf('BTC/USDT:USDT', 1),
    bids: [
      ['0.10', '5.00'],
      ['0.09', '1e-8'],
    ],
    asks: [],
  });
  latest.push({
    ...tradeOf('BTC/USDT', 2),
    type: 'candle',
    open: '1',
    high: '1',
    low: '1',
    close: '1',
    volume: '1',
    trades: null,
  });
  await waitFor(() => client.exists('orderbook:binance:BTC/USDT:USDT'), { what: 'the book' });

  expect(await client.hgetall('price:binance:BTC/USDT')).toEqual({
    price: '61837.63000000',
    timestamp: '1760000000123',
    volume: '0.00100000',
  });
  expect(await client.hgetall('orderbook:binance:BTC/USDT:USDT')).toEqual({
    bids: '[["0.10","5.00"],["0.09","1e-8"]]',
    asks: '[]',
    timestamp: '1760000000001',
  });
  // As another service reads them.
  const market = createMarket(client, createKeyspace());
  expect(await market.price('binance', 'BTC/USDT')).toEqual({
    price: '61837.63000000',
    volume: '0.00100000',
    timestamp: 1760000000123,
  });
  expect((await market.orderBook('binance', 'BTC/USDT:USDT'))?.bids[0]).toEqual(['0.10', '5.00']);
  expect(await market.price('binance', 'ETH/USDT')).toBeUndefined();
  expect((await client.keys('*')).toSorted()).toEqual([
    'orderbook:binance:BTC/USDT:USDT',
    'price:binance:BTC/USDT',
  ]);
  expect(await client.ttl('price:binance:BTC/USDT')).toBe(-1);
});

test('a burst is one write of the newest value, and the rest is counted', async () => {
  const url = await redisDatabase();
  const client = redisClient(url);
  const { latest, metrics } = await startLatest({ url });
  for (let n = 1; n <= 1000; n++) latest.push(tradeOf(`S${n % 10}/USDT`, n));
  await waitFor(async () => (await client.hget('price:binance:S0/USDT', 'price')) !== null, {
    what: 'the prices',
  });
  await waitFor(() => latest.report().status['unwritten'] === 0, { what: 'all to be written' });

  expect(await client.hget('price:binance:S0/USDT', 'price')).toBe('2000.10000000');
  expect(await client.hget('price:binance:S9/USDT', 'price')).toBe('1999.10000000');
  expect(await metricValue(metrics.redisCoalesced)).toBe(990);
});

test('the time of a key never goes back; at the same time the later one counts', async () => {
  const url = await redisDatabase();
  const client = redisClient(url);
  const { latest, metrics } = await startLatest({ url });
  const price = () => client.hget('price:binance:BTC/USDT', 'price');
  latest.push(tradeOf('BTC/USDT', 5));
  await waitFor(async () => (await price()) === '1005.10000000', { what: 'the first price' });
  latest.push(tradeOf('BTC/USDT', 4));
  expect(await metricValue(metrics.redisOutdated)).toBe(1);
  latest.push({ ...tradeOf('BTC/USDT', 5), price: '7' });
  await waitFor(async () => (await price()) === '7', { what: 'the second price' });
});

test('more keys than one pipeline takes', async () => {
  const url = await redisDatabase();
  const client = redisClient(url);
  const { latest } = await startLatest({ url });
  for (let i = 0; i < 1201; i++) latest.push(tradeOf(`S${i}/USDT`, 1));
  await waitFor(() => latest.report().status['unwritten'] === 0, { what: 'all to be written' });
  expect(await client.dbsize()).toBe(1201);
});

test('prefix, expiry and PUBLISH of the same fields', async () => {
  const url = await redisDatabase();
  const client = redisClient(url);
  const subscriber = redisClient(url);
  const heard: [channel: string, message: string][] = [];
  subscriber.on('message', (channel: string, message: string) => heard.push([channel, message]));
  const key = `t${process.pid}:price:binance:BTC/USDT`;
  await subscriber.subscribe(key);
  const settings = { url, keyPrefix: `t${process.pid}:`, expireAfterMs: 60_000, publish: true };
  const { latest } = await startLatest(settings);
  latest.push(tradeOf('BTC/USDT', 1));
  await waitFor(() => heard.length > 0, { what: 'the message' });

  expect(heard[0]?.[0]).toBe(key);
  expect(JSON.parse(heard[0]?.[1] ?? '')).toEqual(await client.hgetall(key));
  expect(await client.pttl(key)).toBeGreaterThan(50_000);
  expect(await client.pttl(key)).toBeLessThanOrEqual(60_000);
});

test('a key that Redis refuses is named, tried again, and holds up no other', async () => {
  const url = await redisDatabase();
  const client = redisClient(url);
  await client.set('price:binance:BTC/USDT', 'not a hash');
  const { latest, log } = await startLatest({ url });
  latest.push(tradeOf('BTC/USDT', 1));
  latest.push(tradeOf('ETH/USDT', 1));
  await waitFor(() => client.exists('price:binance:ETH/USDT'), { what: 'the other key' });
  await waitFor(() => log.some((line) => line.includes('WRONGTYPE')), {
    what: 'a line in the log',
  });
  latest.push(tradeOf('ETH/USDT', 2));
  await waitFor(
    async () => (await client.hget('price:binance:ETH/USDT', 'price')) !== '1001.10000000',
    {
      what: 'the other key, again',
      timeoutMs: 900,
    },
  );
  expect(latest.report().status['unwritten']).toBe(1);

  await client.del('price:binance:BTC/USDT');
  await waitFor(() => client.exists('price:binance:BTC/USDT'), { what: 'the refused key' });
});

test('metrics of the components', { timeout: 15_000 }, async () => {
  const url = await redisDatabase();
  const client = redisClient(url);
  const values = [
    { component: 'ingest', name: 'events_per_second', value: 12.5 },
    { component: 'ingest', name: 'broken', value: Number.NaN },
  ];
  await startLatest({ url }, () => values);
  const key = 'metrics:ingest:events_per_second';
  await waitFor(() => client.exists(key), { what: 'the metric' });
  const { value, timestamp } = await client.hgetall(key);
  expect(value).toBe('12.5');
  expect(Math.abs(Date.now() - Number(timestamp))).toBeLessThan(10_000);
  expect(await client.exists('metrics:ingest:broken')).toBe(0);
});

test('stop writes what is left', async () => {
  const url = await redisDatabase();
  const client = redisClient(url);
  const { latest, stop, log } = await startLatest({ url });
  latest.push(tradeOf('A/USDT', 1));
  await waitFor(() => client.exists('price:binance:A/USDT'), { what: 'the connection' });
  for (let i = 0; i < 2000; i++) latest.push(tradeOf(`S${i}/USDT`, 1));
  await stop();
  expect(await client.dbsize()).toBe(2001);
  expect(log.join('')).not.toContain('"level":"warn"');
});
