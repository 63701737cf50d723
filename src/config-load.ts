/**
 * Puts the configuration together: flag > environment > file > default. Everything that is wrong is
 * said at once, each with its place; the value of a secret is never said.
 */
import { readFileSync } from 'node:fs';
import { readConfigFile } from './config-file.ts';
import { explain, invalid, readProblem } from './config-problems.ts';
import { put, valueAt } from './config-tree.ts';
import { configSchema, settings } from './config.ts';
import type { Config, ConfigInput, Setting } from './config.ts';
import { scrub } from './log.ts';
import { closest } from './nearest.ts';

export interface LoadedConfig {
  readonly config: Config;
  /** Key -> `binance.yaml:12`, `env REDIS_URL`, `flag` or `default`. */
  readonly origins: ReadonlyMap<string, string>;
}

export interface ConfigSources {
  readonly file?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly flags: ConfigInput;
}

type Scalar = string | number | boolean | undefined;

const ENV_PREFIX = 'HYPERFEED__';
const leaves = settings.filter((setting) => setting.type !== 'object');

export function loadConfig({ file, env, flags }: ConfigSources): LoadedConfig {
  const problems: string[] = [];
  const { values, placeOf } = readConfigFile(file);
  const origins = new Map<string, string>();
  for (const { key, path } of leaves) {
    const inFile = valueAt(values, path) !== undefined;
    origins.set(key, inFile ? `${file}:${placeOf(path).line}` : 'default');
  }
  for (const { setting, name, value } of readEnvironment(env, problems)) {
    if (put(values, setting.path, value)) origins.set(setting.key, `env ${name}`);
  }
  for (const { key, path } of leaves) {
    const value = valueAt(flags, path);
    if (value !== undefined && put(values, path, value)) origins.set(key, 'flag');
  }

  const parsed = configSchema.safeParse(values);
  for (const { path, key, what } of (parsed.error?.issues ?? []).flatMap(explain(values))) {
    const origin = origins.get(key) ?? 'default';
    const outside = origin === 'flag' || origin.startsWith('env ');
    const { line, col } = placeOf(path);
    problems.push(`${outside ? origin : `${file}:${line}:${col}`}: ${path.join('.')} ${what}`);
  }
  if (!parsed.success || problems.length > 0) throw invalid(problems);
  return { config: parsed.data, origins };
}

/** The same configuration, fit to be shown. */
export function maskConfig(config: Config): Config {
  const masked = structuredClone(config);
  for (const { path, secret } of leaves) {
    const value = valueAt(masked, path);
    if (secret && typeof value === 'string') {
      put(masked, path, value.includes('://') ? scrub(value) : '***');
    }
  }
  return masked;
}

/** Each key with its value, null where there is none, and where it comes from. */
export function configValues({ config, origins }: LoadedConfig) {
  const masked = maskConfig(config);
  return leaves.map(({ key, path }) => ({
    key,
    value: valueAt(masked, path) ?? null,
    origin: origins.get(key) ?? 'default',
  }));
}

/** One line a key. */
export function describeConfig(loaded: LoadedConfig): string[] {
  return configValues(loaded).map(({ key, value, origin }) => {
    const text = Array.isArray(value) ? value.join(', ') : show(value as Scalar | null);
    return `${key} = ${text}  (${origin === 'default' ? origin : `from ${origin}`})`;
  });
}

function show(value: Scalar | null): string {
  return value === null || value === undefined ? '(not set)' : value === '' ? '""' : `${value}`;
}

/** `orderBook.snapshotIntervalMs` -> `HYPERFEED__ORDER_BOOK__SNAPSHOT_INTERVAL_MS` */
export function envName(path: readonly string[]): string {
  return ENV_PREFIX + path.join('__').replaceAll(/[A-Z]/g, '_$&').toUpperCase();
}

interface EnvValue {
  readonly setting: Setting;
  readonly name: string;
  readonly value: unknown;
}

/** Least specific first. An empty variable is not set: compose files make such. */
function readEnvironment(env: NodeJS.ProcessEnv, problems: string[]): EnvValue[] {
  const found = insecureOf(env, problems);
  for (const [name, key] of [
    ['DATABASE_URL', 'database.url'],
    ['DATABASE_OWNER_URL', 'database.ownerUrl'],
    ['REDIS_URL', 'redis.url'],
    ['HTTP_TOKEN', 'http.token'],
  ] as const) {
    const setting = leaves.find((leaf) => leaf.key === key);
    const file = env[`${name}_FILE`];
    if (env[name] && file) problems.push(`env ${name}: and ${name}_FILE are both set`);
    else if (setting && env[name]) found.push({ setting, name, value: env[name] });
    else if (setting && file) found.push(...readSecret(`${name}_FILE`, file, setting, problems));
  }
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    problems.push('env NODE_TLS_REJECT_UNAUTHORIZED: must not be 0: TLS is always verified');
  }
  for (const [name, text] of Object.entries(env)) {
    if (!name.toUpperCase().startsWith(ENV_PREFIX)) continue;
    const setting = settingOf(name);
    const ofFile = /_FILE$/i.test(name) ? settingOf(name.slice(0, -'_FILE'.length)) : undefined;
    if (!setting && ofFile?.secret) {
      if (text) found.push(...readSecret(name, text, ofFile, problems));
    } else if (!setting) {
      const known = closest(
        name.toUpperCase(),
        leaves.map(({ path }) => envName(path)),
      );
      problems.push(`env ${name}: is not a key${known ? `; did you mean ${known}?` : ''}`);
    } else if (text) {
      found.push({ setting, name, value: fromText(text, setting) });
    }
  }
  return found;
}

function settingOf(name: string): Setting | undefined {
  return leaves.find(({ path }) => comparable(envName(path)) === comparable(name));
}

/** As Docker and Kubernetes hand secrets over: in a file, often with a line end. */
function readSecret(name: string, file: string, setting: Setting, problems: string[]): EnvValue[] {
  try {
    return [{ setting, name, value: readFileSync(file, 'utf8').replace(/[\r\n]+$/, '') }];
  } catch (error) {
    problems.push(`env ${name}: ${file}: ${readProblem(error)}`);
    return [];
  }
}

/** One name for `allowInsecure` of every section. */
function insecureOf(env: NodeJS.ProcessEnv, problems: string[]): EnvValue[] {
  const name = 'ALLOW_INSECURE';
  const text = env[name]?.toLowerCase();
  if (!text) return [];
  if (!['0', '1', 'false', 'true'].includes(text)) {
    problems.push(`env ${name}: must be 1 or 0`);
    return [];
  }
  return leaves
    .filter(({ path }) => path.at(-1) === 'allowInsecure')
    .map((setting) => ({ setting, name, value: text === '1' || text === 'true' }));
}

/** ORDERBOOK and ORDER_BOOK are the same section, in any case. */
function comparable(name: string): string {
  return name.toLowerCase().replaceAll('__', '.').replaceAll('_', '');
}

/** What does not look like its type stays a text, and the schema says so. */
function fromText(text: string, { type }: Setting): unknown {
  if (type === 'integer' && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (type === 'boolean' && /^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  if (type === 'array') return text.split(',').map((item) => item.trim());
  return text;
}
