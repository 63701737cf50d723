import { describe, expect, test } from 'vitest';
import type { DecodedBook, WsAdapter } from '../../src/ingest/adapter.ts';
import { binanceUsdm } from '../../src/ingest/exchanges/binance-usdm.ts';
import { bybitLinear } from '../../src/ingest/exchanges/bybit-linear.ts';
import { createOrderBooks } from '../../src/ingest/order-book.ts';

/** Frames through the adapter and its books: what is published of each, or why nothing. */
function player(adapter: WsAdapter, depth = 20) {
  const requested: string[] = [];
  const books = createOrderBooks({
    depth,
    rules: adapter.book ?? {},
    requestSnapshot: (venueSymbol, reason) => requested.push(`${venueSymbol} ${reason}`),
  });
  const state = adapter.open({ bookDepth: depth });
  const apply = (change: DecodedBook) => {
    const outcome = books.apply(change);
    if (outcome.kind !== 'published') return outcome.kind;
    const side = (levels: readonly (readonly string[])[]) => levels.map((l) => l.join('x'));
    return `${side(outcome.bids).join(' ')} | ${side(outcome.asks).join(' ')}`;
  };
  return {
    requested,
    play: (frame: object) => {
      const [decoded] = adapter.decode(JSON.stringify(frame), state);
      return decoded?.kind === 'book' ? apply(decoded) : decoded;
    },
    seed: (answer: object) => {
      const snapshot = adapter.book?.seed?.parse(JSON.stringify(answer), 'BTCUSDT');
      return snapshot && apply(snapshot);
    },
  };
}

describe('Binance USD-M', () => {
  const diff = (pu: number, first: number, last: number, b: string[][]) => ({
    e: 'depthUpdate',
    E: 1672515782136,
    s: 'BTCUSDT',
    U: first,
    u: last,
    pu,
    b,
    a: [],
  });
  const snapshot = (last: number) => ({
    lastUpdateId: last,
    T: 1672515782100,
    bids: [['10', '1']],
    asks: [['11', '1']],
  });

  test.each([
    ['straddles', 158],
    ['continues', 149],
    ['lies behind a hole between ids before', 152],
  ])('the first change after a snapshot %s', (_, last) => {
    const { play, seed } = player(binanceUsdm);
    expect(play(diff(140, 145, 149, [['9', '9']]))).toBe('buffered');
    expect(play(diff(149, 157, 160, [['9', '1']]))).toBe('buffered');
    expect(seed(snapshot(last))).toBe('10x1 9x1 | 11x1');
    expect(play(diff(160, 171, 180, [['9', '2']]))).toBe('10x1 9x2 | 11x1');
  });

  test('a snapshot that is too old is asked for again', () => {
    const { play, seed, requested } = player(binanceUsdm);
    play(diff(149, 157, 160, [['9', '1']]));
    expect(seed(snapshot(148))).toBe('buffered');
    expect(requested).toEqual(['BTCUSDT waiting', 'BTCUSDT waiting']);
  });

  test('ids are sparse, the chain is not: what does not follow is a gap, what was had is stale', () => {
    const { play, seed } = player(binanceUsdm);
    seed(snapshot(160));
    expect(play(diff(160, 900, 905, []))).toBe('10x1 | 11x1');
    expect(play(diff(160, 900, 905, []))).toBe('stale');
    expect(play(diff(906, 907, 910, []))).toBe('lost');
  });
});

describe('Bybit', () => {
  const frame = (type: string, u: number, b: string[][], a: string[][] = [], depth = 50) => ({
    topic: `orderbook.${depth}.BTCUSDT`,
    type,
    ts: 1687940967466,
    data: { s: 'BTCUSDT', b, a, u, seq: u * 3 },
  });
  const whole = (u: number) => frame('snapshot', u, [['10', '1']], [['11', '1']]);

  test('waits for a snapshot, then counts; a hole asks for another', () => {
    const { play, requested } = player(bybitLinear);
    expect(play(frame('delta', 6, [['9', '1']]))).toBe('stale');
    expect(play(whole(7))).toBe('10x1 | 11x1');
    expect(play(frame('delta', 8, [['9', '1']]))).toBe('10x1 9x1 | 11x1');
    expect(play(frame('delta', 8, [['9', '7']]))).toBe('stale');
    expect(play(frame('delta', 10, [['9', '2']]))).toBe('lost');
    expect(requested).toEqual(['BTCUSDT waiting']);
    expect(play(frame('delta', 11, []))).toBe('stale');
    expect(play(whole(20))).toBe('10x1 | 11x1');
  });

  test('a restart of the service counts from 1, with the whole book in a change', () => {
    const { play } = player(bybitLinear);
    play(whole(7));
    expect(play(frame('delta', 1, [['8', '1']], [['12', '1']]))).toBe('8x1 | 12x1');
    expect(play(frame('delta', 2, [], [['12', '2']]))).toBe('8x1 | 12x2');
  });

  test('what falls out of the depth that is subscribed does not come back', () => {
    const levels = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => [String(from - i), '1']);
    const { play } = player(bybitLinear, 50);
    play(frame('snapshot', 1, levels(1000, 50), [['2000', '1']]));
    play(frame('delta', 2, [['1001', '1']]));
    const left = play(frame('delta', 3, [['1001', '0']]));
    expect(left).toMatch(/^1000x1 .* 952x1 \| 2000x1$/);
  });
});

test.each([
  ['BTC', 'USDT', 'USDT', 'BTCUSDT', 'BTCUSDT'],
  ['BTC', 'USDT', 'USDT-260925', 'BTCUSDT_260925', 'BTCUSDT-25SEP26'],
  ['ETH', 'USDC', 'USDC', 'ETHUSDC', 'ETHPERP'],
  ['ETH', 'USDC', 'USDC-261225', 'ETHUSDC_261225', 'ETH-25DEC26'],
])('%s/%s:%s is %s at Binance, %s at Bybit', (base, quote, settle, binance, bybit) => {
  expect(binanceUsdm.venueSymbol(base, quote, settle)).toBe(binance);
  expect(bybitLinear.venueSymbol(base, quote, settle)).toBe(bybit);
});
