/** The tree of commands: one file a group; what a command does is in src/commands. */
import { Command, Help, type Option } from 'commander';
import { version } from '../version.ts';
import { addCompletionCommand } from './completion.ts';
import type { Context } from './context.ts';
import { addHistoryCommands } from './history.ts';
import { addInspectCommands } from './inspect.ts';
import { addQuarantineCommands } from './quarantine.ts';
import { addRecordingCommands } from './recordings.ts';
import { addSchemaCommands } from './schema.ts';
import { addServingCommands } from './serving.ts';

const help = new Help();

export function createProgram(context: Context): Command {
  const program = new Command('hyperfeed')
    .description('Crypto market data from exchange WebSockets into TimescaleDB and Redis.')
    .version(version)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, optionDescription, subcommandDescription })
    .showHelpAfterError('(--help says what there is)');
  addServingCommands(program, context);
  addSchemaCommands(program, context);
  addHistoryCommands(program, context);
  addRecordingCommands(program, context);
  addInspectCommands(program, context);
  addQuarantineCommands(program, context);
  addCompletionCommand(program, context);
  return program;
}

/** That a switch is off by default goes without saying. */
function optionDescription(option: Option): string {
  return option.defaultValue === false ? option.description : help.optionDescription(option);
}

/** In a list of commands: the rest is said by the help of each. */
function subcommandDescription(command: Command): string {
  const [first = ''] = command.description().split('. ');
  return first.replace(/\.$/, '');
}
