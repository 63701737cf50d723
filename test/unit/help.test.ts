/** What each command's help shows: examples that are right, and --json where there is a result. */
import { describe, expect, test } from 'vitest';
import { ADVICE } from '../../src/commands/status-advice.ts';
import { examplesOf, helpOf, leaves, pathOf, quietProgram } from '../support/help.ts';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const commands = leaves(quietProgram(() => undefined));
/** They run until they are stopped, print JSON anyway, or a script. */
const WITHOUT_JSON = ['run', 'up', 'replay', 'completion'];

describe.each(commands.map((command) => [pathOf(command), command] as const))('%s', (path, own) => {
  test('has two examples or three, and each is a command line of it', async () => {
    const examples = examplesOf(own);
    expect(examples.length).toBeGreaterThanOrEqual(2);
    expect(examples.length).toBeLessThanOrEqual(3);
    for (const { args } of examples) {
      const acted: string[] = [];
      const program = quietProgram((command) => acted.push(pathOf(command)));
      await program.parseAsync([...args], { from: 'user' });
      // `migrate` shows `migrate status` as well.
      expect(acted).toEqual([expect.stringMatching(new RegExp(`^${path}( |$)`))]);
    }
  });

  test('says what it does, in lines that fit', () => {
    const help = helpOf(own);
    expect(own.description()).not.toBe('');
    for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  test.skipIf(WITHOUT_JSON.includes(path))('has --json', () => {
    expect(helpOf(own)).toMatch(/^ +--json/m);
  });
});

test('status has an answer to every reason that a daemon gives', () => {
  const source = resolve(import.meta.dirname, '../../src');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /^(health|ingest|writers|schema).*\.ts$/.test(file),
  );
  const text = files.map((file) => readFileSync(join(source, file), 'utf8')).join('\n');
  const codes = [...text.matchAll(/code: '(\w+)',\s*severity\b/g)].map(([, code = '']) => code);
  expect(new Set(codes).size).toBeGreaterThan(8);
  expect(Object.keys(ADVICE)).toEqual(expect.arrayContaining([...new Set(codes)]));
  // And to none that no daemon gives any more.
  for (const code of Object.keys(ADVICE)) expect(text).toContain(`'${code}'`);
  for (const advice of Object.values(ADVICE)) expect(advice.length).toBeLessThan(100);
});
