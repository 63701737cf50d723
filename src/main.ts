/** Command line, environment, signals, exit code: the only user of `process`. */
import { once } from 'node:events';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { pino } from 'pino';
import { describeConfig, loadConfig } from './config-load.ts';
import type { Config, ConfigInput } from './config.ts';
import { messageOf, UsageError } from './errors.ts';
import { loadAdapter } from './ingest/registry.ts';
import { createLogger, describeError } from './log.ts';
import { version } from './version.ts';

const EXIT_RUNTIME = 1;
const EXIT_USAGE = 2;
const EXIT_CRASH = 70;
/** After a crash: to get what was received to disk. */
const CRASH_GRACE_MS = 1_000;

const { argv, env, stderr, stdout } = process;
const stop = new AbortController();
let exitCode = 0;

interface Flags {
  readonly config?: string;
  readonly exchange?: string;
  readonly symbols?: string[];
  readonly channels?: string[];
  readonly port?: number;
  readonly logLevel?: string;
}

const list = (text: string) => text.split(',').map((item) => item.trim());

function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('must be a whole number');
}

function configured(command: Command): Command {
  return command
    .addOption(new Option('-c, --config <file>', 'YAML file; docs/configuration.md lists the keys'))
    .addOption(new Option('-e, --exchange <id>', 'exchange'))
    .addOption(new Option('-s, --symbols <list>', 'such as BTC/USDT,ETH/USDT').argParser(list))
    .addOption(new Option('--channels <list>', 'of trades,candles,order_book').argParser(list));
}

function serving(command: Command): Command {
  return configured(command)
    .addOption(new Option('--port <n>', 'of health and metrics').argParser(wholeNumber))
    .addOption(new Option('--log-level <level>', 'trace, debug, info, warn, error'));
}

function load(flags: Flags) {
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

function logTo(config: Config, destination: number | string) {
  const { level } = config.log;
  return createLogger({ level, destination: pino.destination({ dest: destination, sync: true }) });
}

const program = new Command('hyperfeed')
  .description('Crypto market data from exchange WebSockets into TimescaleDB and Redis.')
  .version(version)
  .exitOverride()
  .configureHelp({ showGlobalOptions: true });

serving(program.command('run'))
  .description('stream one exchange until SIGTERM, which drains; a second one aborts')
  .action(async (flags: Flags) => {
    const { config } = load(flags);
    const { runDaemon } = await import('./commands/run.ts');
    exitCode = await runDaemon({ config, logger: logTo(config, 1), signal: stop.signal });
  });

serving(program.command('up'))
  .description('the whole job on this machine; brings PostgreSQL, TimescaleDB and Redis along')
  .option('--simulated', 'a simulated exchange, without trying the real one', false)
  .action(async (flags: Flags & { simulated: boolean }) => {
    const { config, origins } = load(flags);
    const { runUp } = await import('./commands/up.ts');
    exitCode = await runUp({
      config,
      isSet: (key) => origins.get(key) !== 'default',
      simulated: flags.simulated,
      createLogger: (file) => logTo(config, file),
      write: (text) => void stdout.write(text),
      isTerminal: stdout.isTTY,
      signal: stop.signal,
    });
  });

const migrate = configured(program.command('migrate'))
  .description('bring the schema of the database up to date')
  .option('--dry-run', 'print the SQL that would run, change nothing', false)
  .option('--json', 'for machines', false)
  .action(async (flags: Flags & { dryRun: boolean; json: boolean }) => {
    const { runMigrate } = await import('./commands/migrate.ts');
    exitCode = await runMigrate({ ...migrateOptions(flags), dryRun: flags.dryRun });
  });

migrate
  .command('status')
  .description('each migration, the engine, and what differs from what the writers need')
  .action(async (_own: unknown, command: Command) => {
    const { runMigrateStatus } = await import('./commands/migrate.ts');
    exitCode = await runMigrateStatus(migrateOptions(command.optsWithGlobals(), 'url'));
  });

/** As the owner of the schema, or as who writes. */
function migrateOptions(flags: Flags & { json?: boolean }, as: 'url' | 'ownerUrl' = 'ownerUrl') {
  const { config } = load(flags);
  const databaseUrl = config.database[as] ?? config.database.url;
  if (!databaseUrl)
    throw new UsageError('no_database', 'database.url is not set; set DATABASE_URL');
  const { signal } = stop;
  return { databaseUrl, json: flags.json ?? false, write, logger: logTo(config, 2), signal };
}

configured(program.command('retention').description('remove what is past its time').command('run'))
  .description('now, as the daemon does once a day')
  .option('--dry-run', 'print what would go, change nothing', false)
  .option('--json', 'for machines', false)
  .action(async (flags: Flags & { dryRun: boolean; json: boolean }) => {
    const { config } = load(flags);
    const { runRetentionCommand } = await import('./commands/retention.ts');
    exitCode = await runRetentionCommand({
      ...migrateOptions(flags),
      config,
      dryRun: flags.dryRun,
    });
  });

configured(program.command('replay'))
  .description('recorded frames as normalized events, one JSON line each')
  .argument('<file...>', 'JSON lines, also .gz; the files of one recording are merged')
  .option('--depth <n>', 'levels a side of an order book', wholeNumber, 20)
  .option('--into-store', 'through spool, PostgreSQL and Redis instead', false)
  .action(async (files: string[], flags: Flags & { depth: number; intoStore: boolean }) => {
    const { config, origins } = load(flags);
    const { runReplay, runReplayIntoStore } = await import('./commands/replay.ts');
    const adapter = await loadAdapter(config.exchange);
    const common = { adapter, files, depth: flags.depth, warn };
    if (flags.intoStore) {
      const logger = logTo(config, 2);
      exitCode = await runReplayIntoStore({ ...common, config, logger, signal: stop.signal });
    } else {
      const symbols = origins.get('symbols') === 'default' ? [] : config.symbols;
      const { channels } = config;
      exitCode = await runReplay({ ...common, symbols, channels, write: writeAll });
    }
  });

configured(program.command('symbols'))
  .description('the markets that an exchange lists')
  .option('--base <currency>', 'only markets of it')
  .option('--quote <currency>', 'only markets priced in it')
  .option('--json', 'for machines: one JSON line a market', false)
  .action(async (flags: Flags & { base?: string; quote?: string; json: boolean }) => {
    const { config } = load(flags);
    const { runSymbols } = await import('./commands/symbols.ts');
    const { base, quote, json } = flags;
    const { signal } = stop;
    const logger = logTo(config, 2);
    exitCode = await runSymbols({
      config,
      base,
      quote,
      json,
      write: writeAll,
      warn,
      logger,
      signal,
    });
  });

configured(program.command('gaps').description('trades that did not come').command('list'))
  .description(
    'what was missing, what was refilled, what cannot be had; of all exchanges, or of -e',
  )
  .option('--open', 'only what is still being refilled', false)
  .option('--json', 'for machines: one JSON line a gap', false)
  .action(async (flags: Flags & { open: boolean; json: boolean }) => {
    const { runGapsList } = await import('./commands/gaps.ts');
    const { exchange, open: openOnly } = flags;
    const options = migrateOptions(flags, 'url');
    exitCode = await runGapsList({ ...options, exchange, openOnly, write: writeAll });
  });

configured(program.command('record'))
  .description('write the frames of a live exchange to a file that replay reads')
  .requiredOption('-o, --out <file>', 'ends in .gz: compressed')
  .option('--seconds <n>', 'stop after this time; else on Ctrl-C', wholeNumber)
  .action(async (flags: Flags & { out: string; seconds?: number }) => {
    const { config } = load(flags);
    const { runRecord } = await import('./commands/record.ts');
    const { seconds } = flags;
    const end = seconds === undefined ? [] : [AbortSignal.timeout(seconds * 1000)];
    const lines = await runRecord({
      adapter: await loadAdapter(config.exchange),
      config,
      file: flags.out,
      logger: logTo(config, 2),
      signal: AbortSignal.any([stop.signal, ...end]),
    });
    warn(`${lines} lines in ${flags.out}\n`);
  });

const config = program.command('config').description('look at the configuration');
configured(config.command('check'))
  .description('say what is wrong with it')
  .action((flags: Flags) => {
    load(flags);
    write('ok\n');
  });
configured(config.command('show'))
  .description('every value, and where it comes from; secrets masked')
  .action((flags: Flags) => write(`${describeConfig(load(flags)).join('\n')}\n`));

function write(text: string): void {
  stdout.write(text);
}

function warn(text: string): void {
  stderr.write(text);
}

/** Waits while a slow reader catches up. */
async function writeAll(text: string): Promise<void> {
  if (!stdout.write(text)) await once(stdout, 'drain');
}

/** A pipe takes what fits; what does not would be lost with the process. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}

function fail(error: unknown): number {
  if (error instanceof CommanderError) {
    // Its message is out already; help and version are no failures.
    return error.exitCode === 0 ? 0 : EXIT_USAGE;
  }
  warn(`hyperfeed: ${messageOf(error)}\n`);
  return error instanceof UsageError ? EXIT_USAGE : EXIT_RUNTIME;
}

function onSignal(signal: NodeJS.Signals): void {
  if (stop.signal.aborted) {
    warn(`${signal} again: aborting; accepted rows are on disk\n`);
    process.exit(EXIT_RUNTIME);
  }
  stop.abort(signal);
}

function onCrash(error: unknown): void {
  warn(`${JSON.stringify({ level: 'fatal', err: describeError(error), msg: 'crashed' })}\n`);
  exitCode = EXIT_CRASH;
  stop.abort(error);
  setTimeout(() => process.exit(EXIT_CRASH), CRASH_GRACE_MS);
}

process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);
process.on('SIGHUP', onSignal);
process.on('uncaughtException', onCrash);
process.on('unhandledRejection', onCrash);
stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `| head` has seen enough.
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync(argv);
} catch (error) {
  exitCode = fail(error);
}
await Promise.all([flushed(stdout), flushed(stderr)]);
process.exit(exitCode);
