/** What is generated from the schema of the configuration. */
import { envName } from '../../src/config-load.ts';
import { settings } from '../../src/config.ts';
import type { Setting } from '../../src/config.ts';
import { markdownTable } from './docs-table.ts';

/** config/default.yaml: every key at its default; a key without a default is commented out. */
export function renderDefaultYaml(): string {
  const lines = [
    '# Every key at its default, for reference: a file of your own needs only what differs.',
    '# Generated from src/config.ts; a test keeps it equal. Flag > environment > file > default.',
  ];
  for (const setting of settings) {
    const indent = '  '.repeat(setting.path.length - 1);
    const name = setting.path.at(-1);
    const comment = [setting.description, oneOf(setting)].filter(Boolean).join(' ');
    if (setting.path.length === 1) lines.push('');
    if (comment) lines.push(`${indent}# ${comment}`);
    if (setting.type === 'object') lines.push(`${indent}${name}:`);
    else if (setting.default === undefined) lines.push(`${indent}# ${name}:`);
    else lines.push(`${indent}${name}: ${yamlValue(setting.default)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** docs/configuration.md */
export function renderConfigurationDoc(): string {
  const sections = settings.filter((one) => one.type === 'object' && one.path.length === 1);
  const example = ['orderBook', 'snapshotIntervalMs'];
  return `${[
    '# Configuration',
    '',
    '<!-- Generated from src/config.ts: npx vitest run test/unit/config-docs.test.ts -u -->',
    '',
    'Flag > environment > file > default. Every key below can stand in a YAML file',
    '([config/default.yaml](../config/default.yaml) holds them all) and in the environment:',
    `\`${example.join('.')}\` is \`${envName(example)}\`,`,
    'lists are separated by commas, and an empty variable counts as not set. `DATABASE_URL` and',
    '`REDIS_URL` work too; `DATABASE_URL_FILE` and `REDIS_URL_FILE` name a file that holds the value,',
    'as the name of any secret does with `_FILE` after it.',
    'An unknown key, an unknown variable with that prefix or an impossible value stops the start and',
    'is named with its file and line. Credentials in URLs are masked wherever they are shown.',
    '',
    '## General',
    '',
    table(settings.filter((one) => one.type !== 'object' && one.path.length === 1)),
    ...sections.flatMap((section) => [
      '',
      `## ${section.key}`,
      ...(section.description ? ['', section.description] : []),
      '',
      table(settings.filter((one) => one.type !== 'object' && one.path[0] === section.key)),
    ]),
  ].join('\n')}\n`;
}

function table(rows: readonly Setting[]): string {
  return markdownTable(
    ['Key', 'Default', 'Values', 'What for'],
    rows.map((row) => [
      `\`${row.key}\``,
      row.default === undefined ? 'not set' : `\`${yamlValue(row.default)}\``,
      values(row),
      row.description ?? parentOf(row)?.description ?? '',
    ]),
  );
}

function values(setting: Setting): string {
  const { type, minimum, maximum } = setting;
  if (type === 'boolean') return 'true, false';
  if (type === 'integer') {
    const limit = maximum === Number.MAX_SAFE_INTEGER ? 'and more' : `to ${maximum}`;
    return `${minimum} ${limit}`;
  }
  const choice = setting.enum ?? setting.items?.enum;
  const list = type === 'array' ? 'list' : 'text';
  return choice ? `${type === 'array' ? 'list of ' : ''}${choice.join(', ')}` : list;
}

function oneOf(setting: Setting): string {
  const choice = setting.enum ?? setting.items?.enum;
  if (!choice || choice.every((one) => setting.description?.includes(one))) return '';
  return `${setting.type === 'array' ? 'Any' : 'One'} of ${choice.join(', ')}.`;
}

function parentOf(setting: Setting): Setting | undefined {
  return settings.find((one) => one.key === setting.path.slice(0, -1).join('.'));
}

function yamlValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(yamlValue).join(', ')}]`;
  if (value === '') return "''";
  return String(value);
}
