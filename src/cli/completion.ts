/** The command that completes the others. */
import { Argument, type Command } from 'commander';
import { completionScript, shells } from '../commands/completion.ts';
import { commandTree } from '../commands/completion/tree.ts';
import type { Context } from './context.ts';
import { examples, offered } from './shared.ts';

export function addCompletionCommand(program: Command, { write }: Context): void {
  program
    .command('completion')
    .description('a script that completes commands, options and exchanges in a shell')
    .addHelpText(
      'after',
      examples(
        ['completion bash', 'in ~/.bashrc: source <(hyperfeed completion bash)'],
        ['completion zsh', 'in ~/.zshrc, after compinit: source <(hyperfeed completion zsh)'],
        ['completion fish', 'into ~/.config/fish/completions/hyperfeed.fish'],
      ),
    )
    .addArgument(new Argument('<shell>', 'which one').choices(shells))
    .action((shell: string) => write(completionScript(shell, commandTree(program, offered))));
}
