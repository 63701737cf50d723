/** What the daemon keeps in Redis of its own: latest prices, order books, metrics. */
import type { Redis } from 'ioredis';
import type { Keyspace } from '../keyspace.ts';
import type { Fields } from './fields.ts';

type Level = readonly [price: string, amount: string];

/** `volume` is the size of the last trade. Undefined, here and below: there is none. */
export function readPrice({ price, volume, timestamp }: Fields) {
  if (price === undefined || volume === undefined || timestamp === undefined) return undefined;
  return { price, volume, timestamp: Number(timestamp) };
}

/** JSON `[["price","amount"],...]`, best first. */
export function readOrderBook({ bids, asks, timestamp }: Fields) {
  if (bids === undefined || asks === undefined || timestamp === undefined) return undefined;
  return {
    bids: JSON.parse(bids) as readonly Level[],
    asks: JSON.parse(asks) as readonly Level[],
    timestamp: Number(timestamp),
  };
}

export function readMetric({ value, timestamp }: Fields) {
  if (value === undefined || timestamp === undefined) return undefined;
  return { value, timestamp: Number(timestamp) };
}

export function createMarket(client: Pick<Redis, 'hgetall'>, keys: Keyspace) {
  return {
    price: async (exchange: string, symbol: string) =>
      readPrice(await client.hgetall(keys.price(exchange, symbol))),
    orderBook: async (exchange: string, symbol: string) =>
      readOrderBook(await client.hgetall(keys.orderBook(exchange, symbol))),
  };
}

export function createMetricValues(client: Pick<Redis, 'hset' | 'hgetall'>, keys: Keyspace) {
  return {
    /** `value` is a decimal as text, so that it stays as exact as it is. */
    async write(component: string, name: string, value: string, timestamp = Date.now()) {
      await client.hset(keys.metric(component, name), { value, timestamp: String(timestamp) });
    },
    read: async (component: string, name: string) =>
      readMetric(await client.hgetall(keys.metric(component, name))),
  };
}
