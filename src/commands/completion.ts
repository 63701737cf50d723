/** `hyperfeed completion`: a script for a shell, made of the tree of commands. */
import { UsageError } from '../errors.ts';
import { bashScript } from './completion/bash.ts';
import { fishScript } from './completion/fish.ts';
import type { Node } from './completion/tree.ts';
import { zshScript } from './completion/zsh.ts';

const SCRIPTS: Readonly<Record<string, (nodes: readonly Node[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

export const shells: readonly string[] = Object.keys(SCRIPTS);

/** Throws UsageError `unknown_shell`. */
export function completionScript(shell: string, nodes: readonly Node[]): string {
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script) return script(nodes);
  throw new UsageError('unknown_shell', `no completion for ${shell}; one of ${shells.join(', ')}`);
}
