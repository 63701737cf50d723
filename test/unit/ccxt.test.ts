import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { bookOf, candleOf, instrumentOf, tradeOf } from '../../src/ingest/ccxt-decode.ts';
import { loadCcxtExchange, requireChannels } from '../../src/ingest/ccxt-exchange.ts';
import { loadAdapter, loadExchange } from '../../src/ingest/registry.ts';

const TIME = 1_700_000_040_000;

describe('an exchange of ccxt', () => {
  test('is imported alone', async () => {
    const script = `
      const { loadCcxtExchange } = await import('./src/ingest/ccxt-exchange.ts');
      const kraken = await loadCcxtExchange('ccxt:kraken');
      const { registerHooks } = await import('node:module');
      registerHooks({ load: (url) => { throw new Error('loaded ' + url) } });
      // Had all of ccxt been loaded, so would have been this.
      await import(new URL('./src/pro/bybit.js', import.meta.resolve('ccxt')).href).then(
        () => console.log('all'), () => console.log(kraken.id));`;
    const root = new URL('../..', import.meta.url).pathname;
    const args = ['--input-type=module', '--eval', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
    expect(stdout.trim()).toBe('ccxt-kraken');
  });

  test('says which channels it has, and is stored without a colon', async () => {
    const { id, channels } = await loadCcxtExchange('ccxt:bitstamp');
    expect(id).toBe('ccxt-bitstamp');
    expect(channels).toEqual({ trades: 'ccxt', order_book: 'ccxt' });
  });

  test('refuses a channel that it lacks', async () => {
    const bitstamp = await loadCcxtExchange('ccxt:bitstamp');
    expect(() => requireChannels(bitstamp, ['trades', 'candles'])).toThrow(
      'channels: ccxt:bitstamp has no candles; it has trades, order_book',
    );
  });

  test.each(['ccxt:krakn', 'ccxt:../base/Exchange', 'ccxt:'])('refuses %s', async (name) => {
    await expect(loadExchange(name)).rejects.toMatchObject({ code: 'unknown_exchange' });
  });

  test('names those that may be meant', async () => {
    await expect(loadExchange('ccxt:krakn')).rejects.toThrow('nearest: ccxt:kraken');
  });

  test('is no adapter', async () => {
    await expect(loadAdapter('ccxt:kraken')).rejects.toMatchObject({ code: 'not_native' });
  });

  test('takes other base URLs, wherever it keeps its own', async () => {
    const { create } = await loadCcxtExchange('ccxt:bybit');
    const urls = { wsUrl: 'ws://127.0.0.1:1/', restUrl: 'http://127.0.0.1:2' };
    const api = create({ number: String, ...urls }).urls;
    const texts = JSON.stringify(api).match(/\w+:\/\/[^"]+/g) ?? [];
    expect(texts.length).toBeGreaterThan(3);
    for (const text of texts)
      expect(text).toMatch(/^(ws:\/\/127\.0\.0\.1:1|http:\/\/127\.0\.0\.1:2)/);
    expect(JSON.stringify(create({ number: String }).urls)).not.toContain('127.0.0.1');
  });
});

describe('what ccxt answers', () => {
  const trade = {
    id: '7',
    timestamp: TIME,
    side: 'sell',
    price: '1.50',
    amount: 1e-7,
    symbol: 'A/B',
  };
  const once = () => 0;

  test('a trade: texts as they are, floats without exponent', () => {
    expect(tradeOf(trade, undefined, once)).toEqual({
      kind: 'trade',
      venueSymbol: 'A/B',
      tradeId: '7',
      side: 'sell',
      price: '1.50',
      quantity: '0.0000001',
      time: TIME * 1000,
    });
  });

  test('a trade without an id is known by what it says', () => {
    const { tradeId } = tradeOf({ ...trade, id: undefined, symbol: undefined }, 'A/B', () => 2);
    expect(tradeId).toBe(`${TIME}-sell-1.50-0.0000001-2`);
  });

  test.each([
    [{ ...trade, side: undefined }, 'bad_side'],
    [{ ...trade, price: NaN }, 'bad_decimal'],
    [{ ...trade, price: 0 }, 'bad_decimal'],
    [{ ...trade, amount: undefined }, 'bad_decimal'],
    [{ ...trade, timestamp: undefined }, 'bad_integer'],
    [{ ...trade, symbol: undefined }, 'bad_text'],
    [null, 'bad_shape'],
  ])('refuses %j', (value, code) => {
    expect(() => tradeOf(value, undefined, once)).toThrow(expect.objectContaining({ code }));
  });

  test('a candle', () => {
    expect(candleOf([TIME, '1.0', 2, 0.5, 1e-9, 0], 'A/B')).toMatchObject({
      open: '1.0',
      high: '2',
      low: '0.5',
      close: '0.000000001',
      volume: '0',
      trades: null,
      closed: false,
    });
    expect(() => candleOf([TIME, 1, 2, 0.5, undefined, 0], 'A/B')).toThrow('close');
  });

  test('a book: as deep as asked, without empty levels, crossed or not', () => {
    const asks = [
      [2, 0],
      [3, 1e-8, 5],
      [4, 1],
    ];
    const book = bookOf({ symbol: 'A/B', bids: [[1.5, 2]], asks }, undefined, 2);
    expect(book).toEqual({
      symbol: 'A/B',
      time: null,
      bids: [['1.5', '2']],
      asks: [['3', '0.00000001']],
      crossed: false,
    });
    expect(bookOf({ bids: [[3, 2]], asks }, 'A/B', 5).crossed).toBe(true);
  });

  const market = { symbol: 'A/B', id: 'ab', base: 'A', quote: 'B' };

  test('a market: precisions in digits, from steps or from places', () => {
    const limits = { amount: { min: 0.001, max: 0 } };
    const steps = { price: 0.01, amount: 1e-8 };
    expect(instrumentOf({ ...market, limits, precision: steps }, 4)).toEqual([
      {
        symbol: 'A/B',
        venueSymbol: 'ab',
        base: 'A',
        quote: 'B',
        status: 'active',
        minOrderSize: '0.001',
        maxOrderSize: null,
        pricePrecision: 2,
        quantityPrecision: 8,
      },
    ]);
    const places = { ...market, active: false, precision: { price: 0, amount: 8 } };
    expect(instrumentOf(places, 2)).toMatchObject([
      { status: 'inactive', minOrderSize: null, pricePrecision: 0, quantityPrecision: 8 },
    ]);
    expect(instrumentOf({ ...market, precision: steps }, 3)).toMatchObject([
      { pricePrecision: null, quantityPrecision: null },
    ]);
    expect(instrumentOf({ ...market, base: undefined }, 4)).toEqual([]);
  });
});
