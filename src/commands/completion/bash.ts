/** Completion for bash 4 and newer, without the package bash-completion. */
import type { Node, Switch, Value } from './tree.ts';

const FILES = 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")';

export function bashScript(nodes: readonly Node[]): string {
  const paths = nodes.map(({ path }) => path).filter(Boolean);
  return `# hyperfeed completion for bash: source <(hyperfeed completion bash)
_hyperfeed() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path= words= word
  # --option=value comes in three words.
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path/$word" in
      ${paths.join('|')}) path=$path/$word ;;
    esac
  done
  COMPREPLY=()
  case "$path $prev" in
${nodes.flatMap((node) => node.options.flatMap((option) => valueCase(node, option))).join('\n')}
  esac
  case "$path" in
${nodes.map(wordCase).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o bashdefault -F _hyperfeed hyperfeed
`;
}

function valueCase({ path }: Node, { names, value }: Switch): string[] {
  if (!value) return [];
  const patterns = names.map((name) => `'${path} ${name}'`).join('|');
  return [`    ${patterns}) ${completed(value)}; return ;;`];
}

function completed({ kind, words }: Value): string {
  if (kind === 'file') return FILES;
  if (words.length === 0) return ':';
  const list = `'${words.join(' ')}'`;
  if (kind === 'word') return `COMPREPLY=($(compgen -W ${list} -- "$cur"))`;
  // What stands before the last comma stays.
  return `compopt -o nospace; COMPREPLY=($(compgen -P "\${cur%"\${cur##*,}"}" -W ${list} -- "\${cur##*,}"))`;
}

function wordCase({ path, children, options, files, words }: Node): string {
  const names = options.flatMap((option) => option.names);
  const own = [...children.map(({ name }) => name), ...words];
  const list = `words='${own.join(' ')}'; [[ $cur == -* ]] && words='${names.join(' ')}'`;
  const alsoFiles = files ? `; [[ $cur == -* ]] || { ${FILES}; return; }` : '';
  return `    '${path}') ${list}${alsoFiles} ;;`;
}
