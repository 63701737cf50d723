/** Completion for zsh. */
import type { Node, Switch, Value } from './tree.ts';

export function zshScript(nodes: readonly Node[]): string {
  return `#compdef hyperfeed
# hyperfeed completion for zsh: source <(hyperfeed completion zsh), after compinit
${nodes.map(functionOf).join('\n')}
compdef _hyperfeed hyperfeed
`;
}

const nameOf = (path: string) => `_hyperfeed${path.replaceAll(/[^a-z]/g, '_')}`;

function functionOf({ path, children, options, files, words }: Node): string {
  const name = nameOf(path);
  const specs = options.map(specOf);
  if (files) specs.push(quoted('*:file:_files'));
  if (words.length > 0) specs.push(quoted(`1:word:(${words.join(' ')})`));
  if (children.length === 0) {
    return `${name}() {\n  _arguments \\\n    ${specs.join(' \\\n    ')}\n}`;
  }
  const list = children.map((child) => quoted(`${child.name}:${plain(child.description)}`));
  const cases = children.map((child) => `${child.name}) ${nameOf(`${path}/${child.name}`)} ;;`);
  return `${name}() {
  local line state commands=(
    ${list.join('\n    ')}
  )
  _arguments -C \\
    ${[...specs, quoted('1:command:->command'), quoted('*::arg:->arguments')].join(' \\\n    ')}
  case $state in
    command) _describe command commands ;;
    arguments) case $line[1] in
      ${cases.join('\n      ')}
    esac ;;
  esac
}`;
}

function specOf({ names, description, value }: Switch): string {
  const text = `[${plain(description)}]${value ? `:${value.name}:${completed(value)}` : ''}`;
  const [first = '', ...others] = names;
  if (others.length === 0) return quoted(`${first}${text}`);
  return `${quoted(`(${names.join(' ')})`)}{${names.join(',')}}${quoted(text)}`;
}

function completed({ kind, words }: Value): string {
  if (kind === 'file') return '_files';
  if (words.length === 0) return ' ';
  return kind === 'list' ? `_values -s , word ${words.join(' ')}` : `(${words.join(' ')})`;
}

/** Without what means something in a spec. */
function plain(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, ' ').replaceAll("'", '’');
}

function quoted(text: string): string {
  return `'${text}'`;
}
