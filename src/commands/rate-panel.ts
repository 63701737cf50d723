/** One line for people: rows per second of each table, and what waits. */
import type { Metrics } from '../metrics.ts';

const TABLES = ['trades', 'market_data', 'order_book'];

export function createRatePanel(metrics: Metrics) {
  let before = new Map<string, number>();
  let beforeMs = performance.now();

  return {
    async line(): Promise<string> {
      const nowMs = performance.now();
      const { values } = await metrics.rowsStored.get();
      const now = new Map(values.map(({ labels, value }) => [String(labels.table), value]));
      const seconds = (nowMs - beforeMs) / 1000;
      const rates = TABLES.map((table) => {
        const total = now.get(table) ?? 0;
        const rate = (total - (before.get(table) ?? 0)) / seconds;
        return `${table} ${rate.toFixed(1)}/s (${total})`;
      });
      before = now;
      beforeMs = nowMs;
      const pending = (await metrics.spoolRowsPending.get()).values[0]?.value ?? 0;
      return `rows stored: ${rates.join('  ')}  waiting ${pending}`;
    },
  };
}
