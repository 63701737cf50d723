/** One line for people: rows per second of each table, and what waits. */
import type { Metrics } from '../metrics.ts';
import { createStoredRates } from '../stored-rates.ts';

export function createRatePanel(metrics: Metrics) {
  const rates = createStoredRates(metrics);

  return {
    async line(): Promise<string> {
      const { tables, waiting } = await rates();
      const shown = tables.map(
        ({ table, perSecond, total }) => `${table} ${perSecond.toFixed(1)}/s (${total})`,
      );
      return `rows stored: ${shown.join('  ')}  waiting ${waiting}`;
    },
  };
}
