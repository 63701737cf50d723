/** Options that several commands have, and what is made of them. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { pino } from 'pino';
import { requireDatabaseUrl } from '../commands/database-url.ts';
import { type LoadedConfig, loadConfig } from '../config-load.ts';
import type { Config, ConfigInput } from '../config.ts';
import { codeOf, messageOf } from '../errors.ts';
import { warnOfExposed } from '../exposed-links.ts';
import { exchangeIds, loadExchange } from '../ingest/registry.ts';
import { createLogger, type Logger } from '../log.ts';
import type { Context } from './context.ts';

/** Of every command that reads the configuration. */
export interface Flags {
  readonly config?: string;
  readonly exchange?: string;
  readonly symbols?: string[];
  readonly channels?: string[];
  readonly port?: number;
  readonly logLevel?: string;
}

/** Of rows of simulations, and of ccxt: no exchange is asked for by these. */
const STORED_NAMES = /^ccxt-|-simulated$/;

const list = (text: string) => text.split(',').map((item) => item.trim());

export function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('must be a whole number');
}

/** What a shell offers for a value; what is valid, the schema of the configuration says. */
export const offered: Readonly<Record<string, readonly string[]>> = {
  '--exchange': exchangeIds,
  '--channels': ['trades', 'candles', 'order_book'],
  '--log-level': ['trace', 'debug', 'info', 'warn', 'error'],
};

export function withConfig(command: Command): Command {
  return command.addOption(
    new Option('-c, --config <file>', 'YAML file; docs/configuration.md lists the keys'),
  );
}

export function withExchange(command: Command): Command {
  return withConfig(command).addOption(new Option('-e, --exchange <id>', 'exchange'));
}

export function withSymbols(command: Command): Command {
  return withExchange(command).addOption(
    new Option('-s, --symbols <list>', 'such as BTC/USDT,ETH/USDT').argParser(list),
  );
}

export function withChannels(command: Command): Command {
  return withSymbols(command).addOption(
    new Option('--channels <list>', 'of trades,candles,order_book').argParser(list),
  );
}

export function serving(command: Command): Command {
  return withChannels(command)
    .addOption(new Option('--port <n>', 'of health and metrics').argParser(wholeNumber))
    .addOption(new Option('--log-level <level>', 'trace, debug, info, warn, error'));
}

/** The end of a command's help: what to type, and what for. Tests run what they can of it. */
export function examples(...all: readonly (readonly [line: string, what: string])[]): string {
  const lines = all.map(([line, what]) => `  # ${what}\n  hyperfeed ${line}`);
  return `\nExamples:\n${lines.join('\n')}`;
}

export function load({ env }: Context, flags: Flags): LoadedConfig {
  const { exchange, symbols, channels, port, logLevel } = flags;
  // What is not a valid value is for the schema to say.
  const given = {
    ...(exchange && { exchange }),
    ...(symbols && { symbols }),
    ...(channels && { channels }),
    ...(port !== undefined && { http: { port } }),
    ...(logLevel && { log: { level: logLevel } }),
  } as ConfigInput;
  return loadConfig({ file: flags.config, env, flags: given });
}

/** 1: standard output, 2: standard error, or a file. */
export function logTo(config: Config, destination: number | string): Logger {
  const { level } = config.log;
  return createLogger({ level, destination: pino.destination({ dest: destination, sync: true }) });
}

/** Of a command that ends by itself: what is not worth a warning would be in the way of its result. */
export function quietLogger({ config, origins }: LoadedConfig): Logger {
  const level = origins.get('log.level') === 'default' ? 'warn' : config.log.level;
  return logTo({ ...config, log: { ...config.log, level } }, 2);
}

/** What the column `exchange` says; also of what is not streamed any more, or was simulated. */
export async function storedName(
  { warn }: Context,
  exchange: string | undefined,
): Promise<string | undefined> {
  if (exchange === undefined) return undefined;
  try {
    return (await loadExchange(exchange)).id;
  } catch (error) {
    if (codeOf(error) !== 'unknown_exchange') throw error;
    // Nothing found must not pass for nothing wrong.
    if (!STORED_NAMES.test(exchange))
      warn(`${messageOf(error)}; looking for its rows all the same\n`);
    return exchange;
  }
}

/** As the owner of the schema, or as who writes. */
export function databaseOptions(
  context: Context,
  flags: Flags & { readonly json?: boolean },
  as: 'url' | 'ownerUrl' = 'ownerUrl',
) {
  const loaded = load(context, flags);
  const { config } = loaded;
  const databaseUrl = requireDatabaseUrl(config.database[as] ?? config.database.url);
  const { write, signal } = context;
  const { allowInsecure } = config.database;
  const logger = quietLogger(loaded);
  warnOfExposed(config, logger);
  return { databaseUrl, allowInsecure, json: flags.json ?? false, write, logger, signal };
}
