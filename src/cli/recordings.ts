/** Commands about recorded frames. */
import type { Command } from 'commander';
import { loadAdapter } from '../ingest/registry.ts';
import type { Context } from './context.ts';
import { examples, type Flags, load, quietLogger, wholeNumber, withChannels } from './shared.ts';

const EXIT_NOTHING = 1;

export function addRecordingCommands(program: Command, context: Context): void {
  const { signal, warn, write, writeAll, isErrorTerminal, exitWith } = context;

  withChannels(program.command('replay'))
    .description('recorded frames as normalized events, one JSON line each')
    .addHelpText(
      'after',
      examples(
        ['replay -e kraken kraken.jsonl.gz', 'all events'],
        ['replay -e kraken --channels order_book --depth 5 kraken.jsonl.gz', 'books alone'],
        ['replay -e kraken --into-store kraken.jsonl.gz', 'into DATABASE_URL and REDIS_URL'],
      ),
    )
    .argument('<file...>', 'JSON lines, also .gz; the files of one recording are merged')
    .option('--depth <n>', 'levels a side of an order book', wholeNumber, 20)
    .option('--into-store', 'through spool, PostgreSQL and Redis instead', false)
    .action(async (files: string[], flags: Flags & { depth: number; intoStore: boolean }) => {
      const loaded = load(context, flags);
      const { config, origins } = loaded;
      const { runReplay, runReplayIntoStore } = await import('../commands/replay.ts');
      const adapter = await loadAdapter(config.exchange);
      const common = { adapter, files, depth: flags.depth, warn };
      if (flags.intoStore) {
        const logger = quietLogger(loaded);
        exitWith(await runReplayIntoStore({ ...common, config, logger, signal }));
      } else {
        const symbols = origins.get('symbols') === 'default' ? [] : config.symbols;
        const { channels } = config;
        exitWith(await runReplay({ ...common, symbols, channels, write: writeAll }));
      }
    });

  withChannels(program.command('record'))
    .description('write the frames of a live exchange to a file that replay reads')
    .addHelpText(
      'after',
      examples(
        ['record -e kraken -s BTC/USD -o kraken.jsonl.gz', 'until Ctrl-C'],
        ['record -e binance --channels trades -o trades.jsonl --seconds 60', 'a minute of trades'],
      ),
    )
    .option('--json', 'for machines: the summary', false)
    .requiredOption('-o, --out <file>', 'ends in .gz: compressed')
    .option('--seconds <n>', 'stop after this time; else on Ctrl-C', wholeNumber)
    .action(async (flags: Flags & { out: string; seconds?: number; json: boolean }) => {
      const loaded = load(context, flags);
      const { config } = loaded;
      const { runRecord } = await import('../commands/record.ts');
      const { seconds, out, json } = flags;
      const end = seconds === undefined ? [] : [AbortSignal.timeout(seconds * 1000)];
      if (isErrorTerminal && seconds === undefined) warn('recording; Ctrl-C ends it\n');
      const adapter = await loadAdapter(config.exchange);
      const { lines, frames } = await runRecord({
        adapter,
        config,
        file: out,
        logger: quietLogger(loaded),
        signal: AbortSignal.any([signal, ...end]),
      });
      if (json) write(`${JSON.stringify({ file: out, lines, frames })}\n`);
      else warn(`${lines} lines in ${out}, ${frames} of them frames that ${adapter.id} sent\n`);
      if (frames === 0) exitWith(EXIT_NOTHING);
    });
}
