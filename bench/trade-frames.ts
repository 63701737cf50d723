/**
 * Trade frames of each adapter, made here in the shape of its fixtures: 20 markets, digits, ids and
 * times that differ from frame to frame, so that no engine learns one frame by heart.
 */
import { hashText } from '../src/sim/random.ts';
import { createRandom } from '../test/support/random.ts';

/** 2026-03-01. */
const START_MS = 1_772_359_200_000;
const BASES = 'BTC ETH SOL XRP DOGE ADA LINK AVAX LTC DOT UNI ATOM ETC XLM NEAR APT FIL ARB OP SUI';
/** Base currencies of the markets in the frames. */
export const bases: readonly string[] = BASES.split(' ');

/** What frames are made of: a fill. */
interface Fill {
  readonly base: string;
  readonly id: number;
  readonly buy: boolean;
  readonly price: string;
  readonly quantity: string;
  /** ms */
  readonly time: number;
  /** Below a millisecond. */
  readonly micros: number;
  readonly uuid: string;
}

type Shape = (fills: readonly Fill[]) => string;

/** Trades a frame are what the exchange sends in a busy minute. */
const SHAPES: Readonly<Record<string, { readonly perFrame: number; readonly frame: Shape }>> = {
  binance: { perFrame: 1, frame: ([fill]) => binanceTrade(fill) },
  'binance-us': { perFrame: 1, frame: ([fill]) => binanceTrade(fill) },
  'binance-usdm': { perFrame: 1, frame: ([fill]) => binanceAggregate(fill) },
  bitstamp: { perFrame: 1, frame: ([fill]) => bitstampTrade(fill) },
  'bybit-linear': { perFrame: 2, frame: bybitLinearTrades },
  'bybit-spot': { perFrame: 1, frame: bybitSpotTrades },
  'coinbase-advanced': { perFrame: 2, frame: coinbaseAdvancedTrades },
  'coinbase-exchange': { perFrame: 1, frame: ([fill]) => coinbaseExchangeTrade(fill) },
  kraken: { perFrame: 2, frame: krakenTrades },
  okx: { perFrame: 1, frame: okxTrades },
};

/** Exchanges that there are frames of. */
export const framedExchanges: readonly string[] = Object.keys(SHAPES);

/** Throws for an exchange without a shape here: a new adapter needs one. */
export function makeTradeFrames(exchange: string, count: number): string[] {
  const shape = SHAPES[exchange];
  if (!shape) throw new Error(`bench/trade-frames.ts has no frames of ${exchange}`);
  const random = createRandom(hashText(exchange));
  let id = 930_000_000;
  return Array.from({ length: count }, (_, i) => {
    const base = bases[Math.floor(random() * bases.length)] ?? 'BTC';
    const time = START_MS + i * 7;
    return shape.frame(
      Array.from({ length: shape.perFrame }, () => makeFill(base, ++id, time, random)),
    );
  });
}

function makeFill(base: string, id: number, time: number, random: () => number): Fill {
  const hex = (digits: number) =>
    Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join('');
  return {
    base,
    id,
    buy: random() < 0.5,
    price: (10 ** (1 + random() * 4)).toFixed(2),
    quantity: (random() * 3 + 0.00001).toFixed(5),
    time,
    micros: Math.floor(random() * 1000),
    uuid: `${hex(8)}-${hex(4)}-5${hex(3)}-a${hex(3)}-${hex(12)}`,
  };
}

function binanceTrade(fill: Fill | undefined): string {
  const { base, id, buy, price, quantity, time } = required(fill);
  const stream = `${base.toLowerCase()}usdt@trade`;
  const members = { p: `${price}000000`, q: `${quantity}000`, T: time, m: !buy, M: true };
  const data = { e: 'trade', E: time + 1, s: `${base}USDT`, t: id, ...members };
  return JSON.stringify({ stream, data });
}

function binanceAggregate(fill: Fill | undefined): string {
  const { base, id, buy, price: p, quantity: q, time: T } = required(fill);
  const stream = `${base.toLowerCase()}usdt@aggTrade`;
  const data = { e: 'aggTrade', E: T + 60, a: id, s: `${base}USDT`, p, q, f: id * 3, l: id * 3 };
  return JSON.stringify({ stream, data: { ...data, T, m: !buy } });
}

function bitstampTrade(fill: Fill | undefined): string {
  const { base, id, buy, price, quantity, time, micros } = required(fill);
  const data = {
    id,
    timestamp: String(Math.floor(time / 1000)),
    amount: Number(quantity),
    amount_str: quantity,
    price: Number(price),
    price_str: price,
    type: buy ? 0 : 1,
    microtimestamp: String(time * 1000 + micros),
    buy_order_id: id * 1_000_000,
    sell_order_id: id * 1_000_000 + 1,
  };
  return JSON.stringify({ data, channel: `live_trades_${base.toLowerCase()}usd`, event: 'trade' });
}

function bybitLinearTrades(fills: readonly Fill[]): string {
  const { base, time } = required(fills[0]);
  const s = `${base}USDT`;
  const data = fills.map((fill) => ({
    T: fill.time,
    s,
    S: fill.buy ? 'Buy' : 'Sell',
    v: fill.quantity,
    p: fill.price,
    L: 'PlusTick',
    i: fill.uuid,
    BT: false,
    RPI: false,
    seq: fill.id,
  }));
  return JSON.stringify({ topic: `publicTrade.${s}`, type: 'snapshot', ts: time + 2, data });
}

function bybitSpotTrades(fills: readonly Fill[]): string {
  const { base, time } = required(fills[0]);
  const s = `${base}USDT`;
  const data = fills.map((fill) => ({
    i: `22900000${fill.id}`,
    T: fill.time,
    p: fill.price,
    v: fill.quantity,
    S: fill.buy ? 'Buy' : 'Sell',
    seq: fill.id,
    s,
    BT: false,
    RPI: false,
  }));
  return JSON.stringify({ topic: `publicTrade.${s}`, ts: time + 2, type: 'snapshot', data });
}

let sequence = 0;

function coinbaseAdvancedTrades(fills: readonly Fill[]): string {
  const trades = fills.toReversed().map((fill) => ({
    product_id: `${fill.base}-USD`,
    trade_id: String(fill.id),
    price: fill.price,
    size: fill.quantity,
    time: isoTime(fill),
    side: fill.buy ? 'SELL' : 'BUY',
  }));
  return JSON.stringify({
    channel: 'market_trades',
    client_id: '',
    timestamp: isoTime(required(fills[0])),
    sequence_num: sequence++,
    events: [{ type: 'update', trades }],
  });
}

function coinbaseExchangeTrade(fill: Fill | undefined): string {
  const { base, id, buy, price, quantity, uuid } = required(fill);
  return JSON.stringify({
    type: 'match',
    trade_id: id,
    maker_order_id: uuid,
    taker_order_id: uuid,
    side: buy ? 'sell' : 'buy',
    size: quantity,
    price,
    product_id: `${base}-USD`,
    sequence: id * 30,
    time: isoTime(required(fill)),
  });
}

/** Numbers with the digits of the exchange, so not by JSON.stringify. */
function krakenTrades(fills: readonly Fill[]): string {
  const data = fills.map(
    (fill) =>
      `{"symbol":"${fill.base}/USD","side":"${fill.buy ? 'buy' : 'sell'}","price":${fill.price},` +
      `"qty":${fill.quantity}000,"ord_type":"limit","trade_id":${fill.id},` +
      `"timestamp":"${isoTime(fill)}"}`,
  );
  return `{"channel":"trade","type":"update","data":[${data.join(',')}]}`;
}

function okxTrades(fills: readonly Fill[]): string {
  const instId = `${required(fills[0]).base}-USDT`;
  const data = fills.map((fill) => ({
    instId,
    tradeId: String(fill.id),
    px: fill.price,
    sz: fill.quantity,
    side: fill.buy ? 'buy' : 'sell',
    ts: String(fill.time),
    count: '1',
    source: '0',
    seqId: fill.id * 3,
  }));
  return JSON.stringify({ arg: { channel: 'trades', instId }, data });
}

function isoTime({ time, micros }: Fill): string {
  return `${new Date(time).toISOString().slice(0, -1)}${String(micros).padStart(3, '0')}Z`;
}

function required(fill: Fill | undefined): Fill {
  if (!fill) throw new Error('a frame needs a trade');
  return fill;
}
