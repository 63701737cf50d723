/** PostgreSQL with TimescaleDB and a Redis for a run, as durable as in production. */
import { Client, type ClientConfig } from 'pg';
import { pino } from 'pino';
import { startStack } from '../src/embedded/stack.ts';
import { migrate } from '../src/schema/migrate.ts';

export interface Servers {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** E.g. `PostgreSQL 17.10, TimescaleDB 2.19.3, valkey 8.1.1 from Debian`. */
  readonly about: string;
  /** Empty, with the schema; of that name before: gone. */
  database(name: string): Promise<ClientConfig & { readonly connectionString: string }>;
  stop(): Promise<void>;
}

export async function startServers(): Promise<Servers> {
  const stack = await startStack({
    fast: false,
    log: {
      info: () => {},
      warn: (text: unknown) => void process.stderr.write(`${JSON.stringify(text)}\n`),
    },
  });
  const { databaseUrl, redisUrl, timescale, redisKind } = stack;
  return {
    databaseUrl,
    redisUrl,
    about: `${await versionOf(databaseUrl)}, TimescaleDB ${timescale ?? 'missing'}, ${redisKind}`,
    async database(name) {
      await administer(databaseUrl, [
        `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`,
        `CREATE DATABASE ${name}`,
      ]);
      const url = new URL(databaseUrl);
      url.pathname = `/${name}`;
      const clientConfig = { connectionString: url.href };
      await migrate({ clientConfig, logger: pino({ level: 'silent' }) });
      return clientConfig;
    },
    stop: () => stack.stop(),
  };
}

export async function connected(config: ClientConfig): Promise<Client> {
  const client = new Client(config);
  await client.connect();
  return client;
}

async function administer(url: string, statements: readonly string[]): Promise<void> {
  const client = await connected({ connectionString: url });
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

async function versionOf(url: string): Promise<string> {
  const client = await connected({ connectionString: url });
  try {
    const { rows } = await client.query<{ version: string }>('SELECT version()');
    return rows[0]?.version.split(' ').slice(0, 2).join(' ') ?? '';
  } finally {
    await client.end();
  }
}
