/** A TCP link to a server, for the faults that a network has and a server has not. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { World } from './world.ts';

export type Link = Awaited<ReturnType<typeof startLink>>;

interface Wire {
  readonly client: Socket;
  readonly server: Socket;
}

/** To the server that `url` names. */
export async function startLink(world: World, url: string) {
  const target = new URL(url);
  const wires = new Set<Wire>();
  let stalled = false;
  let refusing = false;
  let trickling = false;
  let refused = 0;
  let trickled = 0;
  let toLose: { readonly text: string; readonly lost: () => void } | undefined;

  /** Each chunk after the one before; byte by byte while trickling. */
  function pipe(from: Socket, to: Socket): void {
    from.on('data', (data) => {
      if (!trickling) {
        to.write(data);
        return;
      }
      from.pause();
      void passSlowly(data, from, to);
    });
  }

  async function passSlowly(data: Buffer, from: Socket, to: Socket): Promise<void> {
    await trickle(data, to);
    if (!stalled) from.resume();
  }

  async function trickle(data: Buffer, to: Socket): Promise<void> {
    for (let at = 0; at < data.length; at++) {
      if (!trickling || to.destroyed) {
        to.write(data.subarray(at));
        return;
      }
      trickled++;
      await new Promise<void>((resolve) => to.write(data.subarray(at, at + 1), () => resolve()));
    }
  }

  const listener = createServer((client) => {
    if (refusing) {
      refused++;
      client.resetAndDestroy();
      return;
    }
    const server = connect(Number(target.port), target.hostname);
    const wire = { client, server };
    wires.add(wire);
    const end = () => {
      wires.delete(wire);
      client.destroy();
      server.destroy();
    };
    server.on('data', (data) => {
      if (!toLose || !data.includes(toLose.text)) return;
      // What the server did is done; the client does not learn of it.
      toLose.lost();
      toLose = undefined;
      client.resetAndDestroy();
      server.resetAndDestroy();
    });
    pipe(client, server);
    pipe(server, client);
    for (const socket of [client, server]) {
      socket.setNoDelay();
      socket.on('error', end);
      socket.on('close', end);
      if (stalled) socket.pause();
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  world.defer(() => {
    listener.close();
    for (const { client, server } of wires) for (const end of [client, server]) end.destroy();
  });
  const own = new URL(url);
  own.hostname = '127.0.0.1';
  own.port = String((listener.address() as AddressInfo).port);

  return {
    url: own.href.replace(/\/$/, ''),
    /** Resolves when an answer that contains this text was thrown away, and the link reset instead. */
    loseAnswer(text: string): Promise<void> {
      return new Promise((lost) => {
        toLose = { text, lost };
      });
    },
    /** A black hole: connections stay, nothing gets through. Returns how many there are. */
    stall(): number {
      stalled = true;
      for (const { client, server } of wires) for (const end of [client, server]) end.pause();
      return wires.size;
    },
    /** As `stall`, for those that are open now; new ones work. */
    stallOpen(): number {
      for (const { client, server } of wires) for (const end of [client, server]) end.pause();
      return wires.size;
    },
    resume(): void {
      stalled = false;
      for (const { client, server } of wires) for (const end of [client, server]) end.resume();
    },
    /** Resets every connection. Returns how many. */
    reset(): number {
      const hit = wires.size;
      for (const { client, server } of wires) {
        client.resetAndDestroy();
        server.resetAndDestroy();
      }
      return hit;
    },
    refuse(yes: boolean): void {
      refusing = yes;
    },
    /** Everything goes through byte by byte. */
    trickle(yes: boolean): void {
      trickling = yes;
    },
    connections: () => wires.size,
    refused: () => refused,
    trickled: () => trickled,
  };
}
