/** Commands that change the database's schema, or remove what is past its time. */
import type { Command } from 'commander';
import type { Context } from './context.ts';
import { databaseOptions, examples, type Flags, load, withConfig } from './shared.ts';

export function addSchemaCommands(program: Command, context: Context): void {
  const { exitWith } = context;

  const migrate = withConfig(program.command('migrate'))
    .description('bring the schema of the database up to date')
    .addHelpText(
      'after',
      examples(
        ['migrate --dry-run', 'the SQL that would run'],
        ['migrate', 'of DATABASE_OWNER_URL, or DATABASE_URL'],
        ['migrate status', 'what has run, and what differs'],
      ),
    )
    .option('--dry-run', 'print the SQL that would run, change nothing', false)
    .option('--json', 'for machines', false)
    .action(async (flags: Flags & { dryRun: boolean; json: boolean }) => {
      const { runMigrate } = await import('../commands/migrate.ts');
      exitWith(await runMigrate({ ...databaseOptions(context, flags), dryRun: flags.dryRun }));
    });

  migrate
    .command('status')
    .description('each migration, the engine, and what differs from what the writers need')
    .addHelpText(
      'after',
      examples(
        ['migrate status', 'exit code 1: a daemon would not run on it'],
        ['migrate status --json', 'for a script'],
      ),
    )
    .action(async (_own: unknown, command: Command) => {
      const { runMigrateStatus } = await import('../commands/migrate.ts');
      exitWith(await runMigrateStatus(databaseOptions(context, command.optsWithGlobals(), 'url')));
    });

  const retention = program.command('retention').description('remove what is past its time');
  withConfig(retention.command('run'))
    .description('now, as the daemon does once a day')
    .addHelpText(
      'after',
      examples(
        ['retention run --dry-run', 'what is past its time'],
        ['retention run', 'remove it; the times are in the configuration'],
      ),
    )
    .option('--dry-run', 'print what would go, change nothing', false)
    .option('--json', 'for machines', false)
    .action(async (flags: Flags & { dryRun: boolean; json: boolean }) => {
      const { config } = load(context, flags);
      const { runRetentionCommand } = await import('../commands/retention.ts');
      const options = databaseOptions(context, flags);
      exitWith(await runRetentionCommand({ ...options, config, dryRun: flags.dryRun }));
    });
}
