/** `hyperfeed migrate [--dry-run]` and `hyperfeed migrate status`: what to run, what to print. */
import type { Logger } from '../log.ts';
import { describeEngine } from '../schema/engine.ts';
import { migrate } from '../schema/migrate.ts';
import { migrationStatus, pendingMigrations, type SchemaStatus } from '../schema/status.ts';
import { commandSession } from './database-session.ts';

export interface MigrateCommandOptions {
  readonly databaseUrl: string;
  readonly allowInsecure?: boolean;
  readonly json: boolean;
  readonly write: (text: string) => void;
  readonly logger: Logger;
  readonly signal?: AbortSignal;
}

/** Resolves to the exit code; what stands in the way is thrown. */
export async function runMigrate(
  options: MigrateCommandOptions & { readonly dryRun: boolean },
): Promise<number> {
  const { json, write } = options;
  if (options.dryRun) {
    const pending = await pendingMigrations(session(options));
    if (json) write(`${JSON.stringify({ pending })}\n`);
    else if (pending.length === 0) write('nothing to migrate\n');
    else write(pending.map(({ name, sql }) => `-- ${name}.sql\n\n${sql}`).join('\n'));
    return 0;
  }
  const { applied, engine } = await migrate(session(options));
  // What a migration does not touch: tables of the other kind, because TimescaleDB came or went.
  const { differences } = await migrationStatus(session(options));
  if (json) write(`${JSON.stringify({ applied, engine, differences })}\n`);
  else {
    write(`${describeEngine(engine)}\n`);
    write(applied.length === 0 ? 'nothing to migrate\n' : `applied ${applied.join(', ')}\n`);
    for (const line of differences) write(`! ${line}\n`);
  }
  return differences.length === 0 ? 0 : 1;
}

/** Exit code 1: a daemon of this version would not run on this database as it is. */
export async function runMigrateStatus(options: MigrateCommandOptions): Promise<number> {
  const status = await migrationStatus(session(options));
  options.write(options.json ? `${JSON.stringify(status)}\n` : formatStatus(status));
  const ready =
    status.differences.length === 0 && status.migrations.every(({ state }) => state === 'applied');
  return ready ? 0 : 1;
}

function formatStatus({ engine, migrations, differences }: SchemaStatus): string {
  const width = Math.max(...migrations.map(({ name }) => name.length));
  return [
    describeEngine(engine),
    ...migrations.map(({ name, state, appliedAt }) =>
      `${name.padEnd(width)}  ${state.padEnd('applied'.length)}  ${appliedAt?.toISOString() ?? ''}`.trimEnd(),
    ),
    ...differences.map((line) => `! ${line}`),
    '',
  ].join('\n');
}

function session(options: MigrateCommandOptions) {
  const { databaseUrl, allowInsecure = false, logger, signal } = options;
  const clientConfig = commandSession(databaseUrl, allowInsecure, 'hyperfeed migrate');
  return { clientConfig, logger, signal };
}
