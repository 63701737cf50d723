/** Completion for fish. */
import type { Node, Switch } from './tree.ts';

export function fishScript(nodes: readonly Node[]): string {
  return `# hyperfeed completion for fish: hyperfeed completion fish | source
complete -c hyperfeed -f
function __hyperfeed_at
    set -l path
    for word in (commandline -opc)[2..]
        contains -- "$path/$word" ${nodes
          .map(({ path }) => path)
          .filter(Boolean)
          .join(' ')}
        and set path "$path/$word"
    end
    test "$path" = "$argv[1]"
end
function __hyperfeed_list
    set -l before (commandline -ct | string replace -r '[^,]*$' '')
    printf "$before%s\\n" $argv
end
${nodes.flatMap(linesOf).join('\n')}
`;
}

function linesOf({ path, children, options, files, words }: Node): string[] {
  const at = `complete -c hyperfeed -n '__hyperfeed_at "${path}"'`;
  return [
    ...children.map(({ name, description }) => `${at} -a ${name} -d '${plain(description)}'`),
    ...options.map((option) => `${at} ${switchOf(option)}`),
    ...(words.length > 0 ? [`${at} -a '${words.join(' ')}'`] : []),
    ...(files ? [`${at} -F`] : []),
  ];
}

function switchOf({ names, description, value }: Switch): string {
  const flags = names.map((name) =>
    name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  );
  const words = value?.words.join(' ') ?? '';
  const completed = {
    file: '-rF',
    list: `-x -a '(__hyperfeed_list ${words})'`,
    word: `-x -a '${words}'`,
  };
  const parts = [...flags, `-d '${plain(description)}'`];
  if (value) parts.push(words === '' && value.kind !== 'file' ? '-x' : completed[value.kind]);
  return parts.join(' ');
}

function plain(text: string): string {
  return text.replaceAll("'", '’').replaceAll('\\', '/');
}
