/** The commands, as much of them as a shell completes. */
import type { Command, Option } from 'commander';

export interface Node {
  /** `/gaps/list`; empty: hyperfeed itself. */
  readonly path: string;
  readonly description: string;
  readonly children: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly Switch[];
  /** Takes files as arguments. */
  readonly files: boolean;
  /** What else its argument may be. */
  readonly words: readonly string[];
}

export interface Switch {
  readonly names: readonly string[];
  readonly description: string;
  readonly value?: Value;
}

export interface Value {
  readonly name: string;
  /** file: completed by the shell. list: words, separated by commas. */
  readonly kind: 'file' | 'list' | 'word';
  readonly words: readonly string[];
}

const HELP: Switch = { names: ['-h', '--help'], description: 'display help for command' };

/** `offered`: values of an option, by its long name. The root comes first. */
export function commandTree(
  command: Command,
  offered: Readonly<Record<string, readonly string[]>>,
  path = '',
  inherited: readonly Switch[] = [],
): Node[] {
  const own = command.options.map((option) => switchOf(option, offered));
  const options = [...own, ...inherited];
  // It is accepted after any command, and asked for after none.
  const passedOn = options.filter(({ names }) => !names.includes('--version'));
  const children = command.commands.filter((child) => child.name() !== 'help');
  const node: Node = {
    path,
    description: command.description(),
    children: children.map((child) => ({ name: child.name(), description: child.description() })),
    options: [...options, HELP],
    files: command.registeredArguments.some((argument) => argument.name() === 'file'),
    words: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  };
  return [
    node,
    ...children.flatMap((child) =>
      commandTree(child, offered, `${path}/${child.name()}`, passedOn),
    ),
  ];
}

function switchOf(option: Option, offered: Readonly<Record<string, readonly string[]>>): Switch {
  const names = [option.short, option.long].filter((name) => typeof name === 'string');
  const { description } = option;
  // `<file>`, `[list]`: the flags name the value.
  const [, name] = /[<[]([^>\]]+)[>\]]/.exec(option.flags) ?? [];
  if (name === undefined) return { names, description };
  const kind = name === 'file' ? 'file' : name === 'list' ? 'list' : 'word';
  const words = option.argChoices ?? offered[option.long ?? ''] ?? [];
  return { names, description, value: { name, kind, words } };
}
