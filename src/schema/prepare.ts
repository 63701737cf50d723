/** What a daemon does with its database before it writes: bring it up to date, then look. */
import type { HostsConfig } from '../postgres-hosts.ts';
import { withClient, type Session } from './connect.ts';
import { describeEngine, detectEngine, type Engine } from './engine.ts';
import { migrate } from './migrate.ts';
import { verifySchema } from './verify.ts';

export interface PrepareOptions extends Session {
  readonly migrations: boolean;
  /** Migrates; without it, who writes does. */
  readonly ownerConfig?: HostsConfig | undefined;
}

/** Throws what migrate() and verifySchema() throw, and the driver's errors as they are. */
export async function prepareSchema(options: PrepareOptions): Promise<Engine> {
  const { logger, clientConfig, ownerConfig = clientConfig } = options;
  if (options.migrations) {
    const { applied } = await migrate({ ...options, clientConfig: ownerConfig });
    if (applied.length > 0) logger.info({ applied }, 'schema migrated');
  }
  const engine = await withClient(options, async (client) => {
    await verifySchema(client);
    return detectEngine(client);
  });
  logger.info({ ...engine }, `database is ${describeEngine(engine)}`);
  return engine;
}
