/** docker-compose.yml and Dockerfile, read as their tools would. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';

export interface Service {
  readonly image: string;
  readonly build?: string;
  readonly user?: string;
  readonly profiles?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: {
    readonly test?: readonly string[];
    readonly start_interval?: string;
    readonly disable?: boolean;
  };
  readonly read_only?: boolean;
  readonly init?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly mem_limit?: string;
  readonly pids_limit?: number;
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly logging?: { readonly options: Readonly<Record<string, string>> };
}

export const ROOT = resolve(import.meta.dirname, '../..');
export const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

export const source = read('docker-compose.yml');
export const compose = parse(source, { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
export const services = Object.entries(compose.services);
export const service = (name: string): Service => {
  const found = compose.services[name];
  if (!found) throw new Error(`no service ${name}`);
  return found;
};
/** Those of our image that stream. */
export const daemons = services.filter(([, { command }]) => command?.[0] === 'run');

/** `${NAME-default}` and `${NAME:-default}`, nested, as Compose puts them in. */
export function interpolate(text: string, values: Readonly<Record<string, string>> = {}): string {
  const innermost = /\$\{(\w+)(:?-)([^${}]*)\}/;
  let result = text;
  for (let found = innermost.exec(result); found; found = innermost.exec(result)) {
    const [whole, name = '', operator, fallback = ''] = found;
    const value = values[name];
    const taken = operator === ':-' ? value || fallback : (value ?? fallback);
    result = result.replace(whole, () => taken);
  }
  return result.replaceAll('$$', '$');
}

interface Instruction {
  readonly name: string;
  readonly text: string;
}

export const dockerfile = read('Dockerfile')
  .split('\n')
  .filter((line) => !line.startsWith('#'))
  .join('\n')
  .replaceAll(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line): Instruction => {
    const name = /^[A-Z]+/.exec(line.trim())?.[0] ?? '';
    return { name, text: line.trim().slice(name.length).trim() };
  });
export const last = (name: string) => dockerfile.findLast((one) => one.name === name)?.text ?? '';
export const imageEnvironment = Object.fromEntries(
  last('ENV')
    .split(/\s+/)
    .map((pair) => pair.split('=') as [string, string]),
);
