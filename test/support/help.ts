/** The examples at the end of each command's help. */
import type { Command } from 'commander';
import { createProgram } from '../../src/cli/program.ts';

export interface Example {
  /** `gaps list` */
  readonly command: string;
  /** Without `hyperfeed`. */
  readonly args: readonly string[];
}

/** The program with all its commands; an action says what it was given and does nothing else. */
export function quietProgram(act: (command: Command) => void): Command {
  const program = createProgram({
    env: {},
    nodeVersion: process.version,
    signal: new AbortController().signal,
    isTerminal: false,
    isErrorTerminal: false,
    write: () => undefined,
    writeAll: async () => undefined,
    warn: () => undefined,
    exitWith: () => undefined,
  });
  for (const command of leaves(program)) {
    command.configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
    command.action(() => act(command));
  }
  return program;
}

/** Commands that do something: those without others, and those with a description of an action. */
export function leaves(program: Command): Command[] {
  return program.commands.flatMap((command) =>
    // `migrate` does something itself; `gaps`, `config` and `retention` only group.
    command.commands.length === 0 || command.options.length > 0
      ? [command, ...leaves(command)]
      : leaves(command),
  );
}

export function pathOf(command: Command): string {
  const { parent } = command;
  return parent?.parent ? `${pathOf(parent)} ${command.name()}` : command.name();
}

export function helpOf(command: Command): string {
  let help = '';
  command.configureOutput({ writeOut: (text) => void (help += text) });
  command.outputHelp();
  return help;
}

export function examplesOf(command: Command): Example[] {
  const [, text = ''] = helpOf(command).split('\nExamples:\n');
  return [...text.matchAll(/^ {2}# .+\n {2}hyperfeed (.+)$/gm)].map((match) => ({
    command: pathOf(command),
    // A shell takes the quotes away.
    args: [...(match[1] ?? '').matchAll(/"([^"]*)"|(\S+)/g)].map(([, a, b]) => a ?? b ?? ''),
  }));
}
