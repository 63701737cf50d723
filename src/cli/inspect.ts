/** Commands that look and change nothing. */
import { type Command, Option } from 'commander';
import { configValues, describeConfig } from '../config-load.ts';
import type { Config } from '../config.ts';
import { exposedLinks } from '../exposed-links.ts';
import { createLogger } from '../log.ts';
import type { Context } from './context.ts';
import {
  databaseOptions,
  examples,
  type Flags,
  load,
  quietLogger,
  storedName,
  wholeNumber,
  withChannels,
  withExchange,
} from './shared.ts';

export function addInspectCommands(program: Command, context: Context): void {
  const { signal, write, writeAll, warn, exitWith, isTerminal, nodeVersion } = context;

  withChannels(program.command('status'))
    .description('what a running daemon says of itself; exit code 1 unless all is well')
    .addHelpText(
      'after',
      examples(
        ['status', 'the daemon on this machine'],
        ['status --url http://10.0.0.7:9465 --watch', 'another one, every two seconds'],
        ['status --json', 'all that it tells'],
      ),
    )
    .option('--url <url>', 'of its health server; else where the configuration puts it')
    .addOption(new Option('--port <n>', 'the same on this machine').argParser(wholeNumber))
    .option('--watch', 'again and again, until Ctrl-C', false)
    .option('--json', 'for machines', false)
    .action(async (flags: Flags & { url?: string; watch: boolean; json: boolean }) => {
      const { http } = load(context, flags).config;
      const { runStatus } = await import('../commands/status.ts');
      const { url = localUrl(http), watch, json } = flags;
      const { token } = http;
      exitWith(await runStatus({ url, token, watch, json, isTerminal, write, signal }));
    });

  withChannels(program.command('doctor'))
    .description('check all that a daemon needs; for each problem, what to do')
    .addHelpText(
      'after',
      examples(
        ['doctor', 'with the environment of the daemon'],
        ['doctor --config config/kraken.yaml --json', 'for a script; exit code 1: a problem'],
      ),
    )
    .option('--json', 'for machines', false)
    .action(async (flags: Flags & { json: boolean }) => {
      const { runDoctor } = await import('../commands/doctor.ts');
      // What goes wrong is told by the checks.
      const logger = createLogger({ level: 'fatal' });
      const { json } = flags;
      const loadFlags = () => load(context, flags);
      exitWith(await runDoctor({ load: loadFlags, nodeVersion, json, write, logger, signal }));
    });

  withExchange(program.command('symbols'))
    .description('the markets that an exchange lists')
    .addHelpText(
      'after',
      examples(
        ['symbols -e kraken --quote EUR', 'all that is priced in euro'],
        ['symbols -e ccxt:gate --base BTC --json', 'an exchange of ccxt, one JSON line a market'],
      ),
    )
    .option('--base <currency>', 'only markets of it')
    .option('--quote <currency>', 'only markets priced in it')
    .option('--json', 'for machines: one JSON line a market', false)
    .action(async (flags: Flags & { base?: string; quote?: string; json: boolean }) => {
      const loaded = load(context, flags);
      const { config } = loaded;
      const { runSymbols } = await import('../commands/symbols.ts');
      const { base, quote, json } = flags;
      const logger = quietLogger(loaded);
      const options = { config, base, quote, json, write: writeAll, warn, logger, signal };
      exitWith(await runSymbols(options));
    });

  const gaps = program.command('gaps').description('what did not come');
  withChannels(gaps.command('list'))
    .description('what was missing, what was refilled, what cannot be had; of all, or of -e and -s')
    .addHelpText(
      'after',
      examples(
        ['gaps list --open', 'what is being refilled now'],
        ['gaps list -e binance --json', 'of one exchange, one JSON line a gap'],
      ),
    )
    .option('--open', 'only what is still being refilled', false)
    .option('--json', 'for machines: one JSON line a gap', false)
    .action(async (flags: Flags & { open: boolean; json: boolean }) => {
      const { runGapsList } = await import('../commands/gaps.ts');
      const { symbols, channels, open: openOnly } = flags;
      const exchange = await storedName(context, flags.exchange);
      const of = { exchange, symbols, channels, openOnly };
      const options = databaseOptions(context, flags, 'url');
      exitWith(await runGapsList({ ...options, ...of, write: writeAll }));
    });

  const config = program.command('config').description('look at the configuration');
  withChannels(config.command('check'))
    .description('say what is wrong with it')
    .addHelpText(
      'after',
      examples(
        ['config check', 'the environment alone'],
        ['config check --config config/kraken.yaml', 'every mistake, with file and line'],
      ),
    )
    .option('--json', 'for machines', false)
    .action((flags: Flags & { json: boolean }) => {
      exposedLinks(load(context, flags).config);
      write(flags.json ? '{"ok":true}\n' : 'ok\n');
    });
  withChannels(config.command('show'))
    .description('every value, and where it comes from; secrets masked')
    .addHelpText(
      'after',
      examples(
        ['config show --config config/okx.yaml', 'flag > environment > file > default'],
        ['config show --json', 'for a script'],
      ),
    )
    .option('--json', 'for machines: value and origin of each key', false)
    .action((flags: Flags & { json: boolean }) => {
      const loaded = load(context, flags);
      const text = flags.json
        ? JSON.stringify(configValues(loaded))
        : describeConfig(loaded).join('\n');
      write(`${text}\n`);
    });
}

/** Where a daemon of this configuration listens, seen from its machine. */
function localUrl({ host, port }: Config['http']): string {
  const any: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const name = any[host] ?? host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
