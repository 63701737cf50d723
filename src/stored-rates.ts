/** Rows per second of each table, and what waits: between one question and the next. */
import type { Metrics } from './metrics.ts';

const TABLES = ['trades', 'market_data', 'order_book'] as const;

export interface StoredRate {
  readonly table: (typeof TABLES)[number];
  readonly perSecond: number;
  /** Since the daemon started. */
  readonly total: number;
}

export function createStoredRates(metrics: Pick<Metrics, 'rowsStored' | 'spoolRowsPending'>) {
  let before = new Map<string, number>();
  let beforeMs = performance.now();

  return async (): Promise<{
    readonly tables: readonly StoredRate[];
    readonly waiting: number;
  }> => {
    const nowMs = performance.now();
    const { values } = await metrics.rowsStored.get();
    const now = new Map(values.map(({ labels, value }) => [String(labels.table), value]));
    const seconds = (nowMs - beforeMs) / 1000;
    const tables = TABLES.map((table) => {
      const total = now.get(table) ?? 0;
      return { table, total, perSecond: (total - (before.get(table) ?? 0)) / seconds };
    });
    before = now;
    beforeMs = nowMs;
    const waiting = (await metrics.spoolRowsPending.get()).values[0]?.value ?? 0;
    return { tables, waiting };
  };
}
