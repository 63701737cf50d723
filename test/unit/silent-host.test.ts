/** A host that lets us in and then says nothing: given up, and nothing of it is kept. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { writableHost } from '../../src/postgres-hosts.ts';
import { waitFor } from '../support/stack.ts';

/** AuthenticationOk, ReadyForQuery. */
const WELCOME = Buffer.from('R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I', 'latin1');

test('all hosts fall silent after the greeting: an error in time, and no socket is left', async () => {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => undefined).on('close', () => open.delete(socket));
    socket.once('data', () => {
      socket.write(WELCOME);
      // It reads nothing any more, so that not even an end is noticed.
      socket.pause();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const config = {
    connectionString: `postgres://user@127.0.0.1:${(server.address() as AddressInfo).port}/name`,
    connectionTimeoutMillis: 200,
  };
  await expect(writableHost({ ...config, otherHosts: [config] })).rejects.toMatchObject({
    code: 'no_writable_host',
  });
  for (const socket of open) socket.resume();
  await waitFor(() => open.size === 0, { what: 'the sockets to be let go of' });
});
