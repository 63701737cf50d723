/** `hyperfeed retention run [--dry-run]`: removes now what the daemon would remove today. */
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import { compressAfter, retentionRules } from '../schema/retention-rules.ts';
import { type Removed, type RetentionResult, runRetention } from '../schema/retention.ts';
import { commandSession } from './database-session.ts';

export interface RetentionCommandOptions {
  readonly databaseUrl: string;
  readonly allowInsecure?: boolean;
  readonly config: Pick<Config, 'retention' | 'storage'>;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly write: (text: string) => void;
  readonly logger: Logger;
  readonly signal?: AbortSignal;
}

/** Resolves to the exit code: 1 when something was left. */
export async function runRetentionCommand(options: RetentionCommandOptions): Promise<number> {
  const {
    databaseUrl,
    allowInsecure = false,
    config,
    dryRun,
    json,
    write,
    logger,
    signal,
  } = options;
  const result = await runRetention({
    clientConfig: commandSession(databaseUrl, allowInsecure, 'hyperfeed retention'),
    rules: retentionRules(config.retention),
    compressAfter: compressAfter(config.storage),
    dryRun,
    logger,
    signal,
  });
  write(json ? `${JSON.stringify({ dryRun, ...result })}\n` : format(result, dryRun));
  const left = result.tables.some(({ problem }) => problem !== undefined);
  return left || result.outcome === 'busy' ? 1 : 0;
}

const MECHANISMS = {
  policies: 'TimescaleDB removes the time series by its own policies, which are as configured',
  drop_chunks: 'time series: whole chunks (this edition of TimescaleDB has no policies)',
  partitions: 'time series: whole partitions',
};

function format({ mechanism, outcome, tables }: RetentionResult, dryRun: boolean): string {
  if (outcome === 'busy') return 'another hyperfeed is at it\n';
  const verb = dryRun ? 'would go' : 'gone';
  return [
    MECHANISMS[mechanism],
    ...tables.map((table) =>
      `${line(table)} ${table.parts.length + table.rows > 0 ? verb : ''}`.trimEnd(),
    ),
    '',
  ].join('\n');
}

function line({ table, keep, parts, rows, problem }: Removed): string {
  const what = parts.length > 0 ? parts.join(', ') : rows > 0 ? `${rows} rows` : '-';
  const left = problem === undefined ? '' : ` ! ${problem};`;
  return `${table.padEnd(20)} ${(keep ?? 'forever').padEnd(8)}${left} ${what}`;
}
