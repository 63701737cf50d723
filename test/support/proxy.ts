/** A TCP proxy in front of a server, for the faults that a network has and a server has not. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export type Proxy = Awaited<ReturnType<typeof startProxy>>;

/** In front of the server that `url` names. Gone when the test ends. */
export async function startProxy(url: string) {
  const target = new URL(url);
  const links = new Set<{ client: Socket; server: Socket }>();
  let stalled = false;
  let refusing = false;
  let toLose: { text: string; lost: () => void } | undefined;

  const listener = createServer((client) => {
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    const server = connect(Number(target.port), target.hostname);
    const link = { client, server };
    links.add(link);
    const end = () => {
      links.delete(link);
      client.destroy();
      server.destroy();
    };
    client.on('data', (data) => void server.write(data));
    server.on('data', (data) => {
      if (toLose && data.includes(toLose.text)) {
        // What the server did is done; the client does not learn of it.
        toLose.lost();
        toLose = undefined;
        client.resetAndDestroy();
        server.resetAndDestroy();
        return;
      }
      client.write(data);
    });
    for (const socket of [client, server]) {
      socket.setNoDelay();
      socket.on('error', end);
      socket.on('close', end);
      if (stalled) socket.pause();
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  onTestFinished(() => {
    listener.close();
    for (const { client, server } of links) {
      client.destroy();
      server.destroy();
    }
  });
  const own = new URL(url);
  own.hostname = '127.0.0.1';
  own.port = String((listener.address() as AddressInfo).port);

  return {
    url: own.href,
    /** The next answer that contains this text does not arrive; the connection is reset instead. */
    loseAnswer(text: string): Promise<void> {
      return new Promise((lost) => {
        toLose = { text, lost };
      });
    },
    /** A black hole: connections stay, nothing gets through, until `resume`. */
    stall(): void {
      stalled = true;
      for (const { client, server } of links) for (const end of [client, server]) end.pause();
    },
    resume(): void {
      stalled = false;
      for (const { client, server } of links) for (const end of [client, server]) end.resume();
    },
    /** Resets every connection. */
    reset(): void {
      for (const { client, server } of links) {
        client.resetAndDestroy();
        server.resetAndDestroy();
      }
    },
    refuse(yes: boolean): void {
      refusing = yes;
    },
    connections: () => links.size,
  };
}
