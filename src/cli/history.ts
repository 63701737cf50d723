/** Commands about what was stored, and what should have been. */
import { type Command, Option } from 'commander';
import type { Context } from './context.ts';
import {
  databaseOptions,
  examples,
  type Flags,
  load,
  quietLogger,
  storedName,
  withSymbols,
} from './shared.ts';

interface RangeFlags extends Flags {
  readonly from: string;
  readonly to?: string;
  readonly trades: boolean;
  readonly candles: boolean;
  readonly json: boolean;
}

interface ExportFlags extends Flags {
  readonly from?: string;
  readonly to?: string;
  readonly out?: string;
  readonly json: boolean;
}

const TIMES = 'such as 2026-01-31, 2026-01-31T08:15:00Z, "2 days ago" or now; UTC without a zone';

export function addHistoryCommands(program: Command, context: Context): void {
  ranged(program.command('backfill'))
    .description(
      'store what the REST history of an exchange shows of a time range. Candles that differ are ' +
        'corrected, trades never change. It may be interrupted and repeated at will: each answer is ' +
        'committed before the next is asked for, and the database is asked what it has. A daemon of ' +
        'the same exchange may run. It takes half of the exchange’s rate budget at most.',
    )
    .option('--missing-only', 'do not compare candles that are stored', false)
    .option('--json', 'for machines: progress and summary as JSON lines', false)
    .addHelpText(
      'after',
      examples(
        ['backfill -e binance -s BTC/USDT --from "30 days ago"', 'a month of candles'],
        ['backfill -e okx -s BTC/USDT --from 2026-01-01 --to 2026-02-01', 'January'],
        ['backfill -e coinbase -s BTC/USD --from "6h ago" --trades', 'trades as well'],
      ),
    )
    .action(async (flags: RangeFlags & { missingOnly: boolean }) => {
      const { runBackfill } = await import('../commands/backfill.ts');
      context.exitWith(await runBackfill({ ...flags, ...rangeOptions(flags, context) }));
    });

  ranged(program.command('verify'))
    .description(
      'compare what is stored with what the REST of the exchange shows: missing, extra, different; ' +
        'changes nothing. Exit code 0: the same, 1: not.',
    )
    .option('--json', 'for machines: each difference and each day as a JSON line', false)
    .addHelpText(
      'after',
      examples(
        ['verify -e binance -s BTC/USDT --from "2 days ago"', 'candles'],
        ['verify -e binance -s BTC/USDT --from "6h ago" --trades --json', 'trades as well'],
      ),
    )
    .action(async (flags: RangeFlags) => {
      const { runVerify } = await import('../commands/verify.ts');
      const { writeAll } = context;
      const file = flags.config;
      const options = { ...flags, ...rangeOptions(flags, context), file, writeAll };
      context.exitWith(await runVerify(options));
    });

  withSymbols(program.command('export'))
    .description(
      'a table as CSV with every digit: header, times in UTC with microseconds, rows in the order of ' +
        'time. There is no Parquet: its decimals have a fixed precision, those of the tables have none. ' +
        'DuckDB makes it of the CSV, with the texts as they are or with the precision that you choose: ' +
        "COPY (FROM read_csv('trades.csv', all_varchar = true)) TO 'trades.parquet'",
    )
    .argument('<table>', 'market_data, market_candles, trades, order_book, ...')
    .option('--from <time>', `${TIMES}; default: from the first row`)
    .option('--to <time>', 'not included itself; default: to the last row')
    .addOption(new Option('--format <name>').choices(['csv']).default('csv'))
    .option('-o, --out <file>', 'whole or not at all; ends in .gz: compressed; default: stdout')
    .option('--json', 'for machines: the summary; needs --out', false)
    .addHelpText(
      'after',
      examples(
        ['export trades -e binance --from 2026-01-01 --to 2026-02-01 -o trades.csv.gz', 'a month'],
        ['export market_candles -s BTC/USDT --from "1d ago"', 'of all exchanges, to stdout'],
      ),
    )
    .action(async (table: string, flags: ExportFlags) => {
      const { runExport } = await import('../commands/export.ts');
      const { write, writeAll, warn, isErrorTerminal: isTerminal } = context;
      const { from, to, symbols, out } = flags;
      const exchange = await storedName(context, flags.exchange);
      const database = databaseOptions(context, flags, 'url');
      const where = { table, from, to, exchange, symbols, out };
      context.exitWith(
        await runExport({ ...database, ...where, write, writeAll, warn, isTerminal }),
      );
    });
}

function ranged(command: Command): Command {
  return withSymbols(command)
    .requiredOption('--from <time>', TIMES)
    .option('--to <time>', 'not included itself; default: now')
    .option('--trades', 'trades too, of exchanges that show them by id', false)
    .option('--candles', 'candles of a minute', true)
    .option('--no-candles', 'trades alone');
}

function rangeOptions(flags: RangeFlags, context: Context) {
  const loaded = load(context, flags);
  const { config } = loaded;
  const logger = quietLogger(loaded);
  const { signal, write, warn, isErrorTerminal: isTerminal } = context;
  return { config, logger, signal, write, warn, isTerminal };
}
