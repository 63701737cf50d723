/** Commands that stream until a signal ends them. */
import type { Command } from 'commander';
import type { Context } from './context.ts';
import { examples, type Flags, load, logTo, serving } from './shared.ts';

export function addServingCommands(program: Command, context: Context): void {
  const { signal, write, isTerminal, exitWith } = context;

  serving(program.command('run'))
    .description('stream one exchange until SIGTERM, which drains; a second one aborts')
    .addHelpText(
      'after',
      examples(
        ['run --config config/binance.yaml', 'DATABASE_URL and REDIS_URL in the environment'],
        ['run -e kraken -s BTC/USD,ETH/USD --port 9465', 'a second daemon, another port'],
      ),
    )
    .action(async (flags: Flags) => {
      const { config } = load(context, flags);
      const { runDaemon } = await import('../commands/run.ts');
      exitWith(await runDaemon({ config, logger: logTo(config, 1), signal }));
    });

  serving(program.command('up'))
    .description('the whole job on this machine; brings PostgreSQL, TimescaleDB and Redis along')
    .addHelpText(
      'after',
      examples(
        ['up', 'five symbols of Binance'],
        ['up -e coinbase -s BTC/USD', 'another exchange'],
        ['up --simulated', 'without any exchange'],
      ),
    )
    .option('--simulated', 'a simulated exchange, without trying the real one', false)
    .action(async (flags: Flags & { simulated: boolean }) => {
      const { config, origins } = load(context, flags);
      const { runUp } = await import('../commands/up.ts');
      const code = await runUp({
        config,
        isSet: (key) => origins.get(key) !== 'default',
        simulated: flags.simulated,
        createLogger: (file) => logTo(config, file),
        write,
        isTerminal,
        signal,
      });
      exitWith(code);
    });
}
