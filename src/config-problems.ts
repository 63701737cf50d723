/** What is wrong with a configuration, in words. */
import type { z } from 'zod';
import { valueAt } from './config-tree.ts';
import type { Tree } from './config-tree.ts';
import { settings } from './config.ts';
import type { Setting } from './config.ts';
import { codeOf, messageOf, UsageError } from './errors.ts';
import { closest } from './nearest.ts';

type Issue = z.core.$ZodIssue;

export interface Problem {
  readonly path: readonly string[];
  /** The setting that it belongs to; a list is one. */
  readonly key: string;
  readonly what: string;
}

export function explain(values: Tree): (issue: Issue) => Problem[] {
  return (issue) => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((name) => unknownKey([...path, name]));
    }
    const setting = settingOf(path);
    const value = valueAt(values, path);
    const shown = typeof value !== 'object' && setting?.secret !== true;
    const what = shown ? `${mustBe(issue)}, not ${JSON.stringify(value)}` : mustBe(issue);
    return [{ path, key: setting?.key ?? '', what }];
  };
}

export function invalid(problems: readonly string[]): UsageError {
  const list =
    problems.length === 1
      ? ` ${problems[0]}`
      : ` ${problems.length} problems${problems.map((one) => `\n  ${one}`).join('')}`;
  return new UsageError('config_invalid', `configuration:${list}`);
}

export function readProblem(error: unknown): string {
  return codeOf(error) === 'ENOENT' ? 'no such file' : `cannot be read: ${messageOf(error)}`;
}

function unknownKey(path: readonly string[]): Problem {
  const name = path.at(-1) ?? '';
  const parent = path.slice(0, -1).join('.');
  const siblings = settings.filter((one) => one.path.slice(0, -1).join('.') === parent);
  // Else the right name in the wrong section.
  const meant =
    closest(
      name,
      siblings.map((one) => one.path.at(-1) ?? ''),
    ) ?? settings.find((one) => one.path.at(-1) === name)?.key;
  return { path, key: '', what: `is not a key${meant ? `; did you mean ${meant}?` : ''}` };
}

const TYPES: Readonly<Record<string, string>> = {
  number: 'a whole number',
  int: 'a whole number',
  boolean: 'true or false',
  string: 'a text',
  array: 'a list',
  object: 'a section with keys of its own',
};

function mustBe(issue: Issue): string {
  if (issue.code === 'invalid_type') return `must be ${TYPES[issue.expected] ?? issue.expected}`;
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.join(', ')}`;
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}`;
  if (issue.code === 'too_small') {
    const isNumber = issue.origin === 'number' || issue.origin === 'int';
    return isNumber ? `must be at least ${issue.minimum}` : 'must not be empty';
  }
  // The schema's own words.
  return issue.message;
}

function settingOf(path: readonly string[]): Setting | undefined {
  return settings.findLast((one) => one.path.every((name, index) => path[index] === name));
}
