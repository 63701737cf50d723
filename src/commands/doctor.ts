/** `hyperfeed doctor`: what stands in the way of a daemon, and what to do about each. */
import type { LoadedConfig } from '../config-load.ts';
import { messageOf, UsageError } from '../errors.ts';
import { loadExchange } from '../ingest/registry.ts';
import type { Logger } from '../log.ts';
import { type Check, type Checked, ok, problem, runChecks } from './doctor/check.ts';
import { databaseChecks } from './doctor/database-checks.ts';
import { exchangeChecks } from './doctor/exchange-checks.ts';
import { machineChecks } from './doctor/machine-checks.ts';
import { redisCheck } from './doctor/redis-check.ts';

export interface DoctorOptions {
  /** Throws UsageError for a configuration that is not valid. */
  readonly load: () => LoadedConfig;
  readonly nodeVersion: string;
  readonly json: boolean;
  readonly write: (text: string) => void;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Resolves to the exit code: 1 when there is a problem; a warning is none. */
export async function runDoctor(options: DoctorOptions): Promise<number> {
  const { json, write, signal } = options;
  const results = await runChecks(await checksOf(options), signal);
  const problems = results.filter(({ level }) => level === 'problem').length;
  const warnings = results.filter(({ level }) => level === 'warning').length;
  if (json) {
    write(`${JSON.stringify({ ok: problems === 0, problems, warnings, checks: results })}\n`);
  } else {
    write(`${format(results)}\n${summary(problems, warnings)}\n`);
  }
  return problems === 0 ? 0 : 1;
}

async function checksOf({ load, nodeVersion, logger }: DoctorOptions): Promise<Check[]> {
  let loaded: LoadedConfig;
  try {
    loaded = load();
    await loadExchange(loaded.config.exchange);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const what = messageOf(error).replace(/^configuration: /, '');
    const todo = 'mend it; docs/configuration.md lists the keys. The other checks need it';
    return [configuration(async () => [problem(what, todo)])];
  }
  const { config, origins } = loaded;
  const exchange = await loadExchange(config.exchange);
  const set = [...origins.values()].filter((origin) => origin !== 'default').length;
  const what = `${exchange.id}: ${config.channels.join(', ')} of ${config.symbols.join(', ')}; ${set === 1 ? '1 key is' : `${set} keys are`} set`;
  return [
    configuration(async () => [ok(what)]),
    ...machineChecks(config, { exchange: exchange.id, nodeVersion }),
    ...databaseChecks(config, logger),
    redisCheck(config),
    ...exchangeChecks(exchange, config, logger),
  ];
}

function configuration(run: Check['run']): Check {
  return { name: 'configuration', timeoutMs: 1_000, todo: '', run };
}

function format(results: readonly Checked[]): string {
  const width = Math.max(...results.map(({ check }) => check.length));
  const indent = ' '.repeat(width + 10);
  const text = results.map(({ check, level, what, todo }) => {
    const head = `${level.padEnd(8)} ${check.padEnd(width)} `;
    const said = what.replaceAll('\n', `\n${indent}`);
    return `${head}${said}\n${todo ? `${indent}-> ${todo}\n` : ''}`;
  });
  // Words of an exchange or a database shall not steer a terminal.
  return text.join('').replaceAll(/[^\P{Cc}\n]/gu, '?');
}

function summary(problems: number, warnings: number): string {
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;
  if (problems + warnings === 0) return 'all is well';
  return `${count(problems, 'problem')}, ${count(warnings, 'warning')}`;
}
