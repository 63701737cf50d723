/**
 * Samples of order books give way first when the disk of the spool fills: a trade that is not spooled
 * has to be fetched again, and of a sample the next one says nearly the same.
 */
import type { MarketEvent, Micros } from '../ingest/events.ts';
import type { Metrics } from '../metrics.ts';
import type { Losses } from './losses.ts';
import type { Spool } from './spool.ts';
import { TABLES } from './tables.ts';

const THIN_MICROS = 10_000_000;

export interface ThinningOptions {
  readonly spool: Pick<Spool, 'pressure'>;
  readonly losses?: Pick<Losses, 'withheld'> | undefined;
  readonly metrics: Pick<Metrics, 'rowsDropped' | 'rowsReceived'>;
}

/** Whether a sample is not to be recorded; then it is counted and remembered. */
export function createThinning({ spool, losses, metrics }: ThinningOptions) {
  const lastKept = new Map<string, Micros>();

  return (event: MarketEvent): boolean => {
    const pressure = spool.pressure();
    if (pressure === 'roomy') return false;
    // On a grid, as the samples are: two daemons keep the same ones.
    const slot = Math.floor(event.time / THIN_MICROS);
    if (pressure === 'thin' && lastKept.get(event.symbol) !== slot) {
      lastKept.set(event.symbol, slot);
      return false;
    }
    const reason =
      pressure === 'thin' ? 'spool_80' : pressure === 'no_books' ? 'spool_90' : 'spool_full';
    metrics.rowsReceived.inc({ table: TABLES.order_book.name });
    metrics.rowsDropped.inc({ reason });
    losses?.withheld(event, reason);
    return true;
  };
}
