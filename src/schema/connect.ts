import { Socket } from 'node:net';
import { Client, type ClientBase } from 'pg';
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { type HostsConfig, writableHost } from '../postgres-hosts.ts';

export interface Session {
  readonly clientConfig: HostsConfig;
  readonly logger: Logger;
  /** Cuts the connection; the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Lends `use` a connection of its own: an ended session gives back its locks, whatever went wrong. */
export async function withClient<T>(
  { clientConfig, logger, signal }: Session,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  // Ending a client waits for the server; a socket of its own can be cut in any state.
  const stream = () => new Socket(signal ? { signal } : {});
  const client = new Client({ ...(await writableHost(clientConfig)), stream });
  // Without a listener a lost connection ends the process. The query under way rejects as well.
  client.on('error', (error) => logger.debug({ error: messageOf(error) }, 'connection lost'));
  client.on('notice', ({ code, message, hint }) => {
    const level = code?.startsWith('01') ? 'warn' : 'debug'; // class 01: a warning
    logger[level]({ notice: message, hint }, 'notice of the database');
  });
  try {
    await client.connect();
    return await use(client);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    await client.end();
  }
}

export async function inTransaction<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // On a lost connection there is nothing to roll back; the first error is the one that counts.
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
