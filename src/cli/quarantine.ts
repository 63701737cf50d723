/** Rows that the database refused: looked at, tried again. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Context } from './context.ts';
import { databaseOptions, examples, type Flags, storedName, withExchange } from './shared.ts';

export function addQuarantineCommands(program: Command, context: Context): void {
  const { writeAll, exitWith } = context;
  const quarantine = program.command('quarantine').description('rows that the database refused');

  withExchange(quarantine.command('list'))
    .description('those that wait, and why they were refused; of all exchanges, or of -e')
    .addHelpText(
      'after',
      examples(
        ['quarantine list', 'what waits'],
        ['quarantine list -e binance --all --json', 'also what was replayed, one JSON line a row'],
      ),
    )
    .option('--all', 'also those that were replayed', false)
    .option('--json', 'for machines: one JSON line a row', false)
    .action(async (flags: Flags & { all: boolean; json: boolean }) => {
      const { runQuarantineList } = await import('../commands/quarantine.ts');
      const { all } = flags;
      const exchange = await storedName(context, flags.exchange);
      const options = databaseOptions(context, flags, 'url');
      exitWith(await runQuarantineList({ ...options, exchange, all, write: writeAll }));
    });

  withExchange(quarantine.command('replay'))
    .description('store those that wait, once what they were refused for is mended')
    .argument('[id...]', 'only these, as `quarantine list` shows them', ids)
    .addHelpText(
      'after',
      examples(
        ['quarantine replay', 'all; exit code 1 when some are refused still'],
        ['quarantine replay 17 18', 'these two'],
      ),
    )
    .option('--json', 'for machines: one JSON line a row', false)
    .action(async (only: string[] | undefined, flags: Flags & { json: boolean }) => {
      const { runQuarantineReplay } = await import('../commands/quarantine.ts');
      const exchange = await storedName(context, flags.exchange);
      const options = databaseOptions(context, flags, 'url');
      exitWith(
        await runQuarantineReplay({ ...options, exchange, ids: only ?? [], write: writeAll }),
      );
    });
}

function ids(text: string, before: readonly string[] = []): string[] {
  if (/^\d{1,18}$/.test(text)) return [...before, text];
  throw new InvalidArgumentError('must be a whole number');
}
