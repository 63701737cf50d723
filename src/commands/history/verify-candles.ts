/** Stored candles of one market against the exchange's, a page at a time. */
import type { Client } from 'pg';
import { candleDifferences } from '../../ingest/candle-differences.ts';
import type { Instrument } from '../../ingest/events.ts';
import type { ExchangeHistory } from '../../ingest/exchange.ts';
import { candlePages, createCandlePages } from '../../ingest/history-pages.ts';
import { MINUTE } from '../../ingest/minutes.ts';
import { minutesOf } from './asked.ts';
import type { Ledger } from './findings.ts';
import type { TimeRange } from './moment.ts';
import type { Progress } from './progress.ts';
import { storedCandles } from './stored-rows.ts';

export interface CandleComparison {
  readonly history: ExchangeHistory;
  readonly candles: NonNullable<ExchangeHistory['candles']>;
  readonly instrument: Instrument;
  readonly range: TimeRange;
  readonly client: Client;
  readonly progress: Pick<Progress, 'add'>;
  readonly ledger: Ledger;
  readonly signal: AbortSignal;
}

export async function verifyCandles(comparison: CandleComparison): Promise<void> {
  const { history, candles, instrument, range, client, progress, ledger, signal } = comparison;
  const series = { exchange: history.exchange, symbol: instrument.symbol };
  const ask = createCandlePages({ history: candles, rest: history.rest, instrument, signal });
  for (const page of candlePages(candles.maxRows, minutesOf(range))) {
    const shown = await ask(page);
    // Read after theirs: what was stored meanwhile is no difference.
    const stored = await storedCandles(client, series, page);
    const times = [...new Set([...shown.keys(), ...stored.keys()])].toSorted((a, b) => a - b);
    for (const time of times) {
      const [ours, theirs] = [stored.get(time), shown.get(time)];
      if (!ours) {
        await ledger.found({ time, kind: 'missing' });
      } else if (!theirs) {
        await ledger.found({ time, kind: 'extra' });
      } else {
        const names = candleDifferences(ours, theirs);
        const columns = Object.fromEntries(
          names.map((name) => [name, [ours[name], theirs[name]] as const]),
        );
        if (names.length === 0) await ledger.same(time);
        else await ledger.found({ time, kind: 'different', columns });
      }
    }
    progress.add((page.to - page.from) / MINUTE + 1);
  }
}
