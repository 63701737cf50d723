/** `hyperfeed verify`: what is stored against what the exchange shows by REST. Changes nothing. */
import type { Client } from 'pg';
import type { Config } from '../config.ts';
import { createTradeHistory } from '../ingest/trade-history.ts';
import type { Logger } from '../log.ts';
import { withClient } from '../schema/connect.ts';
import { type Asked, ask, type HistoryFlags } from './history/asked.ts';
import { minutesIn } from './history/backfill-candles.ts';
import { countOf } from './history/backfill-trades.ts';
import { createLedger, type Day, type Finding } from './history/findings.ts';
import { momentText } from './history/moment.ts';
import { createProgress, type Progress } from './history/progress.ts';
import { tradeRange } from './history/trade-range.ts';
import { verifyCandles } from './history/verify-candles.ts';
import { verifyTrades } from './history/verify-trades.ts';
import { commandSession } from './database-session.ts';
import { requireDatabaseUrl } from './database-url.ts';
import { textTable } from './text-table.ts';

export interface VerifyOptions extends HistoryFlags {
  readonly config: Config;
  /** Of the configuration. */
  readonly file?: string | undefined;
  readonly json: boolean;
  /** To the standard output; resolves when the text is taken. */
  readonly writeAll: (text: string) => Promise<void>;
  /** To the standard error. */
  readonly warn: (text: string) => void;
  /** Of the standard error. */
  readonly isTerminal: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Further ones are counted; `--json` has them all. */
const FINDINGS_SHOWN = 20;

/** Resolves to the exit code: 1 when something differs, or it was interrupted. */
export async function runVerify(options: VerifyOptions): Promise<number> {
  const { config, warn, isTerminal, logger, signal } = options;
  const { allowInsecure } = config.database;
  const url = requireDatabaseUrl(config.database.url);
  const asked = await ask(options, config, logger, signal);
  const clientConfig = commandSession(url, allowInsecure, 'hyperfeed verify');
  const progress = createProgress({ warn, isTerminal: isTerminal && !options.json, unit: 'rows' });
  const report = createReport(options, asked);
  try {
    await withClient({ clientConfig, logger, signal }, (client) =>
      compare(options, asked, { client, progress, report }),
    );
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    progress.end();
  }
  return report.end(signal.aborted);
}

interface Tools {
  readonly client: Client;
  readonly progress: Progress;
  readonly report: Report;
}

async function compare(options: VerifyOptions, asked: Asked, tools: Tools): Promise<void> {
  const { signal } = options;
  const { history, instruments, range, candles } = asked;
  const { client, progress, report } = tools;
  const { exchange, rest } = history;
  const trades =
    asked.trades &&
    createTradeHistory({ exchange, trades: asked.trades, rest, now: () => Date.now() * 1000 });
  if (candles) progress.expect(instruments.length * minutesIn(range));
  for (const instrument of instruments) {
    const { symbol } = instrument;
    if (candles) {
      progress.on(`candles ${symbol}`);
      const ledger = createLedger('candles', symbol, report);
      const common = { history, candles, instrument, range };
      await verifyCandles({ ...common, client, progress, ledger, signal });
      await ledger.end();
    }
    if (trades) {
      progress.on(`trades ${symbol}`);
      const ledger = createLedger('trades', symbol, report);
      const { note, ...ids } = await tradeRange(trades, instrument, range, signal);
      if (note !== undefined) report.notes.push(`${symbol}: ${note}`);
      progress.expect(countOf(ids));
      const common = { exchange, trades, instrument, range, ids };
      await verifyTrades({ ...common, client, progress, ledger, signal });
      await ledger.end();
    }
  }
}

type Report = ReturnType<typeof createReport>;

const COLUMNS = ['DAY', 'SYMBOL', 'CHANNEL', 'THEIRS', 'STORED', 'MISSING', 'EXTRA', 'DIFFERENT'];

function createReport(options: VerifyOptions, { history, range }: Asked) {
  const { config, file, json, writeAll, trades } = options;
  const { exchange } = history;
  const days: Day[] = [];
  const shown: string[] = [];
  const notes: string[] = [];
  const count = { missing: 0, extra: 0, different: 0, trades: 0 };

  async function onDay(day: Day): Promise<void> {
    if (json) await writeAll(`${JSON.stringify({ type: 'day', exchange, ...day })}\n`);
    else days.push(day);
  }

  async function onFinding(finding: Finding): Promise<void> {
    count[finding.kind]++;
    if (finding.channel === 'trades' && finding.kind === 'different') count.trades++;
    if (json) {
      const { kind, time, ...rest } = finding;
      const line = { type: kind, exchange, ...rest, time: momentText(time) };
      await writeAll(`${JSON.stringify(line)}\n`);
    } else if (shown.length < FINDINGS_SHOWN) {
      shown.push(describe(finding));
    }
  }

  async function end(interrupted: boolean): Promise<number> {
    const found = count.missing + count.extra + count.different;
    const same = found === 0 && !interrupted;
    const mend = count.missing + count.different > count.trades ? backfillLine() : null;
    if (json) {
      const { missing, extra, different } = count;
      const summary = { exchange, same, interrupted, missing, extra, different, mend, notes };
      await writeAll(`${JSON.stringify({ type: 'summary', ...summary })}\n`);
      return same ? 0 : 1;
    }
    const rows = days.map((day) => [
      day.day,
      day.symbol,
      day.channel,
      ...[day.theirs, day.stored, day.missing, day.extra, day.different].map(String),
    ]);
    const lines = [...shown, ...notes];
    if (found > shown.length)
      lines.splice(shown.length, 0, `and ${found - shown.length} more; --json has all`);
    if (mend !== null) lines.push(`to mend it: ${mend}`);
    if (count.extra > 0)
      lines.push('extra rows are left alone: nothing is ever deleted that was seen');
    if (count.trades > 0)
      lines.push('trades that differ are left alone: look at them, and at the exchange');
    if (interrupted) lines.push('interrupted: the rest was not compared');
    else if (found === 0) lines.push('the same');
    await writeAll(textTable(COLUMNS, rows) + lines.map((line) => `${line}\n`).join(''));
    return same ? 0 : 1;
  }

  function backfillLine(): string {
    const what = trades ? ' --trades' : '';
    return (
      `hyperfeed backfill${file === undefined ? '' : ` --config ${file}`} --exchange ${config.exchange} --symbols ${config.symbols.join(',')} ` +
      `--from ${momentText(range.from)} --to ${momentText(range.to)}${what}${options.candles ? '' : ' --no-candles'}`
    );
  }

  return { notes, onDay, onFinding, end };
}

function describe({ channel, symbol, time, id, kind, columns = {} }: Finding): string {
  const which = `${symbol} ${channel} ${momentText(time)}${id === undefined ? '' : ` id ${id}`}`;
  const differ = Object.entries(columns).map(
    ([name, [stored, theirs]]) => `${name}: stored ${stored}, theirs ${theirs}`,
  );
  return `${which}: ${kind === 'different' ? differ.join('; ') : kind}`;
}
