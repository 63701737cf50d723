import { expect, test } from 'vitest';
import { binance } from '../../src/ingest/exchanges/binance.ts';
import { assumeInstrument, resolveInstruments } from '../../src/ingest/instruments.ts';

const market = (symbol: string) => ({ ...assumeInstrument(symbol, binance) });
const markets = ['BTC/USDT', 'ETH/USDT', 'BTC/USDC', 'SOL/USDT'].map(market);

test('configured symbols become instruments, in their order', () => {
  const found = resolveInstruments(['SOL/USDT', 'BTC/USDT'], markets);
  expect(found.map((i) => i.venueSymbol)).toEqual(['SOLUSDT', 'BTCUSDT']);
});

test('unknown symbols are refused together, each with its nearest', () => {
  expect(() => resolveInstruments(['BTC/USTD', 'ETH/USDT', 'XOL/USDT'], markets)).toThrow(
    /BTC\/USTD \(nearest: BTC\/USDT, .*\); XOL\/USDT \(nearest: SOL\/USDT/,
  );
});

test('of two markets of one name the active one is taken', () => {
  const halted = { ...market('BTC/USDT'), venueSymbol: 'OLDBTC', status: 'inactive' as const };
  expect(resolveInstruments(['BTC/USDT'], [halted, ...markets])[0]?.venueSymbol).toBe('BTCUSDT');
});
