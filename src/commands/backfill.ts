/**
 * `hyperfeed backfill`: what an exchange's REST shows of a time range, stored as if it had been streamed.
 *
 * There is no file that says how far it came: the database does. Each answer is committed before the next
 * is asked for; trades that are stored are not asked for again, and candles are compared. So an end at any
 * moment costs one answer, and a database that was restored from a backup is filled again.
 */
import type { Client } from 'pg';
import type { Config } from '../config.ts';
import { HyperfeedError } from '../errors.ts';
import type { Instrument } from '../ingest/events.ts';
import { createTradeHistory } from '../ingest/trade-history.ts';
import type { Logger } from '../log.ts';
import { withClient } from '../schema/connect.ts';
import { type Asked, ask, type HistoryFlags } from './history/asked.ts';
import { backfillCandles, minutesIn } from './history/backfill-candles.ts';
import { backfillTrades, countOf } from './history/backfill-trades.ts';
import { momentText } from './history/moment.ts';
import { createProgress, type Progress } from './history/progress.ts';
import { openRowStore, type RowStore } from './history/row-store.ts';
import { newTally, type Tally } from './history/tally.ts';
import { tradeRange } from './history/trade-range.ts';
import { commandSession } from './database-session.ts';
import { requireDatabaseUrl } from './database-url.ts';
import { textTable } from './text-table.ts';

export interface BackfillCommandOptions extends HistoryFlags {
  readonly config: Config;
  readonly missingOnly: boolean;
  readonly json: boolean;
  /** To the standard output. */
  readonly write: (text: string) => void;
  /** To the standard error. */
  readonly warn: (text: string) => void;
  /** Of the standard error. */
  readonly isTerminal: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

interface Work {
  readonly asked: Asked;
  readonly options: BackfillCommandOptions;
  readonly client: Client;
  readonly store: RowStore;
  readonly progress: Progress;
  readonly tallies: Tally[];
}

/** Two of them would share neither what they asked for nor the exchange's patience. */
const ALONE = `SELECT pg_try_advisory_lock(hashtext('hyperfeed_backfill'), hashtext(current_schema() || ' ' || $1)) AS ours`;

/** Resolves to the exit code: 1 when it was interrupted, or rows were refused. */
export async function runBackfill(options: BackfillCommandOptions): Promise<number> {
  const { config, json, write, warn, isTerminal, logger, signal } = options;
  const { database } = config;
  const url = requireDatabaseUrl(database.url);
  const asked = await ask(options, config, logger, signal);
  const { exchange } = asked.history;
  const emit = json ? (line: object) => write(`${JSON.stringify(line)}\n`) : undefined;
  const progress = createProgress({ warn, isTerminal, emit, unit: 'rows' });
  const tallies: Tally[] = [];
  let complete = false;
  const clientConfig = commandSession(url, database.allowInsecure, 'hyperfeed backfill');
  try {
    // Not cut by the signal: gaps are settled and sessions ended in peace.
    await withClient({ clientConfig, logger }, async (client) => {
      await claim(client, exchange);
      const { markets } = asked;
      const store = await openRowStore({ exchange, config, markets, logger, signal });
      try {
        await work({ asked, options, client, store, progress, tallies });
        complete = true;
      } finally {
        await store.stop();
      }
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    progress.end();
    report(options, asked, tallies, complete);
  }
  return complete && tallies.every(({ refused }) => refused === 0) ? 0 : 1;
}

async function claim(client: Client, exchange: string): Promise<void> {
  const { rows } = await client.query<{ ours: boolean }>(ALONE, [exchange]);
  if (rows[0]?.ours) return;
  throw new HyperfeedError(
    'backfill_running',
    `another backfill of ${exchange} runs on this database; wait for it, or stop it`,
  );
}

async function work(job: Work): Promise<void> {
  const { asked, client, store, progress, tallies, options } = job;
  const { signal } = options;
  const { history, instruments, range, candles } = asked;
  if (candles) progress.expect(instruments.length * minutesIn(range));
  const trades = await locateTrades(job);
  for (const instrument of instruments) {
    const { symbol } = instrument;
    if (candles) {
      const tally = newTally(symbol, 'candles');
      tallies.push(tally);
      progress.on(`candles ${symbol}`);
      const { missingOnly } = options;
      const common = { history, candles, instrument, range, client, store, progress };
      await backfillCandles({ ...common, missingOnly, tally, signal });
    }
    const found = trades.get(instrument);
    if (found) {
      progress.on(`trades ${symbol}`);
      await found();
    }
  }
}

/** Before anything is stored, so that the bar knows where it ends. */
async function locateTrades(job: Work): Promise<ReadonlyMap<Instrument, () => Promise<void>>> {
  const { asked, client, store, progress, tallies, options } = job;
  const { history, instruments, range } = asked;
  const found = new Map<Instrument, () => Promise<void>>();
  if (!asked.trades) return found;
  const { exchange, rest } = history;
  const now = () => Date.now() * 1000;
  const trades = createTradeHistory({ exchange, trades: asked.trades, rest, now });
  const { signal } = options;
  for (const instrument of instruments) {
    progress.on(`looking for the ids of ${instrument.symbol}`);
    const { note, ...ids } = await tradeRange(trades, instrument, range, signal);
    progress.expect(countOf(ids));
    found.set(instrument, async () => {
      const tally = newTally(instrument.symbol, 'trades');
      if (note !== undefined) tally.note = note;
      tallies.push(tally);
      const common = { exchange, trades, instrument, range, ids, client, store, progress };
      await backfillTrades({ ...common, tally, signal });
    });
  }
  return found;
}

const COLUMNS = [
  'SYMBOL',
  'CHANNEL',
  'ASKED',
  'STORED',
  'KNOWN',
  'CORRECTED',
  'NOT TO BE HAD',
  'REFUSED',
  'GAP IDS SETTLED',
];

function report(
  { json, write, warn }: BackfillCommandOptions,
  { history, range }: Asked,
  tallies: readonly Tally[],
  complete: boolean,
): void {
  const { exchange } = history;
  const [from, to] = [momentText(range.from), momentText(range.to)];
  if (json) {
    const summary = { type: 'summary', exchange, from, to, complete, series: tallies };
    write(`${JSON.stringify(summary)}\n`);
    return;
  }
  if (tallies.length === 0) return;
  const rows = tallies.map((t) => [
    t.symbol,
    t.channel,
    ...[t.asked, t.stored, t.known, t.corrected, t.missing, t.refused, t.settled].map(String),
  ]);
  write(`${exchange} from ${from} to ${to}\n${textTable(COLUMNS, rows)}`);
  for (const { symbol, channel, note } of tallies) {
    if (note !== undefined) write(`${symbol} ${channel}: ${note}\n`);
  }
  if (!complete) warn('not complete; what is counted is stored, and the same command goes on\n');
}
