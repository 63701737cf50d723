/** What the documents name exists: files, links, commands. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const documents = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(path.join(root, 'docs'))
    .filter((name) => name.endsWith('.md') && name !== 'schema-document.md')
    .map((name) => `docs/${name}`),
];

/** As GitHub makes them of headings. */
function anchorsOf(text: string): Set<string> {
  const titles = [...text.matchAll(/^#{1,6} (.+)$/gm)].map((match) => match[1] ?? '');
  return new Set(
    titles.map((title) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\d _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

async function help(...command: string[]): Promise<string> {
  const hyperfeed = path.join(root, 'bin/hyperfeed.js');
  const { stdout } = await promisify(execFile)(process.execPath, [hyperfeed, ...command, '--help']);
  return stdout;
}

describe.each(documents)('%s', (document) => {
  const text = readFileSync(path.join(root, document), 'utf8');

  test('links to files that exist', () => {
    const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map((match) => match[1] ?? '');
    const missing = targets.filter(
      (target) => !existsSync(path.join(root, path.dirname(document), target)),
    );
    expect(missing).toEqual([]);
  });

  test('links to headings that exist', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g)];
    const missing = links.filter(([, target = '', anchor = '']) => {
      const file = target === '' ? document : path.join(path.dirname(document), target);
      return !anchorsOf(readFileSync(path.join(root, file), 'utf8')).has(anchor);
    });
    expect(missing.map(([link]) => link)).toEqual([]);
  });

  test('names files that exist', () => {
    const named = [...text.matchAll(/`((?:src|test|config|docs|bench|ops|bin)\/[\w./-]+\.\w+)`/g)];
    const missing = named
      .map((match) => match[1] ?? '')
      .filter((file) => !existsSync(path.join(root, file)));
    expect(missing).toEqual([]);
  });

  test('names commands that exist', async () => {
    const used = [...text.matchAll(/`(?:npx )?hyperfeed ([a-z]+)/g)].map((match) => match[1] ?? '');
    const listed = await help();
    for (const command of used) {
      expect(listed).toMatch(new RegExp(`^  ${command} `, 'm'));
    }
  });
});
