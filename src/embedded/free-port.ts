import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { codeOf, HyperfeedError } from '../errors.ts';

const ATTEMPTS = 5;

/** A port that was free a moment ago. Another program may be faster: who binds it must look. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts something on `port`, or on a free one, and then again on another if it was taken since. */
export async function launchOnPort<T>(
  port: number | undefined,
  launch: (port: number) => Promise<T>,
): Promise<{ port: number; launched: T }> {
  for (let attempt = 1; ; attempt += 1) {
    const candidate = port ?? (await freePort());
    try {
      return { port: candidate, launched: await launch(candidate) };
    } catch (error) {
      const retry = codeOf(error) === 'embedded_port_taken' && port === undefined;
      if (!retry || attempt === ATTEMPTS) throw error;
    }
  }
}

export function portTaken(port: number): HyperfeedError {
  return new HyperfeedError('embedded_port_taken', `port ${port} is taken by another program`);
}
