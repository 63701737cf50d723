/** The completion scripts in real shells: what a user gets for TAB. */
import { constants } from 'node:fs';
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runHyperfeed, runProgram, spawnProgram, temporaryFolder } from '../support/daemon.ts';
import { waitFor } from '../support/stack.ts';

const TAB = '\t';

async function isInstalled(shell: string): Promise<boolean> {
  const folders = (process.env['PATH'] ?? '').split(':');
  const found = folders.map((folder) => access(join(folder, shell), constants.X_OK));
  return (await Promise.allSettled(found)).some(({ status }) => status === 'fulfilled');
}

const installed = new Map<string, boolean>();
for (const shell of ['bash', 'zsh', 'fish', 'script'])
  installed.set(shell, await isInstalled(shell));

async function scriptFile(shell: string): Promise<string> {
  const { code, stdout } = await runHyperfeed(['completion', shell]);
  expect(code).toBe(0);
  const file = join(await temporaryFolder(), `completion.${shell}`);
  await writeFile(file, stdout.join('\n') + '\n');
  return file;
}

/** A shell on a terminal; what is typed there runs a `hyperfeed` that says its arguments. */
async function terminal(command: string, setUp: string) {
  const shell = spawnProgram('script', ['-qec', command, '/dev/null'], {
    env: { TERM: 'dumb', PS1: '' },
    cwd: await temporaryFolder(),
  });
  let turn = 0;
  shell.stdin.write(
    `touch 'my frames.jsonl'; ${setUp}\nhyperfeed() { printf '<%s>' "$@"; echo ":$done"; }\n`,
  );
  return async (line: string): Promise<string[]> => {
    const mark = `turn${turn++}`;
    shell.stdin.write(`done=${mark}\n${line}\n`);
    const said = await waitFor(
      () => shell.stdout.find((one) => one.includes('<') && one.trimEnd().endsWith(`:${mark}`)),
      { what: `${command} to run ${line}: ${shell.stdout.join('|')}`, timeoutMs: 15_000 },
    );
    return [...said.matchAll(/<([^>]*)>/g)].map((match) => match[1] ?? '');
  };
}

const TERMINALS = [
  ['bash', 'bash --noprofile --norc -i', (file: string) => `source ${file}`],
  ['zsh', 'zsh -f -i', (file: string) => `autoload -Uz compinit && compinit -u -D; source ${file}`],
] as const;

describe.each(TERMINALS)('%s', (shell, command, setUp) => {
  const there = installed.get(shell) === true && installed.get('script') === true;

  test.skipIf(!there)('completes commands, options, exchanges, channels and files', async () => {
    const type = await terminal(command, setUp(await scriptFile(shell)));
    expect(await type(`hyperfeed retent${TAB}ru${TAB}--dry${TAB}`)).toEqual([
      'retention',
      'run',
      '--dry-run',
    ]);
    expect(await type(`hyperfeed symbols --exch${TAB}krak${TAB}--quo${TAB}EUR`)).toEqual([
      'symbols',
      '--exchange',
      'kraken',
      '--quote',
      'EUR',
    ]);
    expect(await type(`hyperfeed run --channels trades,cand${TAB} -e coinbase-a${TAB}`)).toEqual([
      'run',
      '--channels',
      'trades,candles',
      '-e',
      'coinbase-advanced',
    ]);
    expect(await type(`hyperfeed replay my${TAB}`)).toEqual(['replay', 'my frames.jsonl']);
    expect(await type(`hyperfeed completion fi${TAB}`)).toEqual(['completion', 'fish']);
  });
});

test.skipIf(!installed.get('fish'))('fish completes the same', async () => {
  const file = await scriptFile('fish');
  const complete = async (line: string) => {
    const script = `source ${file}; complete -C ${JSON.stringify(line)}`;
    const { code, stdout, stderr } = await runProgram('fish', ['--no-config', '-c', script]);
    expect([code, stderr]).toEqual([0, []]);
    return stdout.map((one) => one.split(TAB)[0]);
  };
  expect(await complete('hyperfeed retention r')).toEqual(['run']);
  expect(await complete('hyperfeed retention run --dry')).toEqual(['--dry-run']);
  expect(await complete('hyperfeed symbols --exchange krak')).toEqual(['kraken']);
  expect(await complete('hyperfeed run --channels trades,cand')).toEqual(['trades,candles']);
  expect(await complete('hyperfeed completion fi')).toEqual(['fish']);
  expect(await complete('hyperfeed config ')).toEqual(expect.arrayContaining(['check', 'show']));
});

test('a shell that is unknown: exit 2, and which there are', async () => {
  const { code, stderr } = await runHyperfeed(['completion', 'powershell']);
  expect([code, stderr.join()]).toEqual([2, expect.stringContaining('bash, zsh, fish')]);
});
