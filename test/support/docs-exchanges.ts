/** The README's table of exchanges, from the registry itself. */
import type { Channel } from '../../src/ingest/events.ts';
import { exchangeIds, loadAdapter } from '../../src/ingest/registry.ts';
import { markdownTable } from './docs-table.ts';

const CHANNELS: readonly Channel[] = ['trades', 'candles', 'order_book'];

const CLOSED_BY = {
  flag: "the exchange's flag",
  'next-open': 'the next one, REST',
  trades: 'made of trades, REST',
};

export async function renderExchangesTable(): Promise<string> {
  const adapters = await Promise.all(exchangeIds.map((id) => loadAdapter(id)));
  const rows = adapters.map(({ id, channels, candleClose, history }) => [
    `\`${id}\``,
    ...CHANNELS.map((channel) => channels[channel] ?? '-'),
    CLOSED_BY[candleClose],
    [history?.candles && 'candles', history?.trades && 'trades by id'].filter(Boolean).join(', '),
  ]);
  return markdownTable(
    ['id', ...CHANNELS, 'closed candles are known by', 'REST history'],
    [
      ...rows,
      ['`ccxt:ID`', 'ccxt', 'ccxt', 'ccxt', CLOSED_BY['next-open'], 'candles, where ccxt has them'],
    ],
  );
}
