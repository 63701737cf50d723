import { configSchema } from '../../src/config.ts';
import type { MarketEvent } from '../../src/ingest/events.ts';
import { createMetrics } from '../../src/metrics.ts';
import type { Batch } from '../../src/writers/spool.ts';
import { createStore } from '../../src/writers/store.ts';
import { createSymbolsWriter } from '../../src/writers/symbols.ts';
import { createBatches } from './batch.ts';
import { silent } from './schema.ts';
import { waitFor } from './stack.ts';

/** Through a store whose spool is a list. */
export async function storeAll(
  databaseUrl: string,
  events: readonly MarketEvent[][],
  metrics = createMetrics('binance'),
): Promise<void> {
  const batchOf = createBatches();
  const batches: Batch[] = events.map(batchOf);
  const released: Batch[] = [];
  const ended = Promise.withResolvers<undefined>();
  const store = createStore({
    exchange: 'binance',
    spool: {
      read: async () => batches.shift() ?? ended.promise,
      release: async (batch) => void released.push(batch),
      rewind: () => undefined,
      end: () => ended.resolve(undefined),
    },
    symbols: createSymbolsWriter('binance', silent),
    config: configSchema.parse({ database: { url: databaseUrl } }).database,
    prepare: async () => undefined,
    onRefused: () => undefined,
    metrics,
    logger: silent,
  });
  await store.start(new AbortController().signal);
  await waitFor(() => released.length === events.length, { what: 'every batch to be stored' });
  await store.stop(AbortSignal.timeout(5_000));
}
