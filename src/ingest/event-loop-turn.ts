/**
 * Turns of the event loop, shared out between sockets that are flooded and everything else. Node reads
 * a socket until it is empty or two megabytes came, 30 ms of frames and more; meanwhile no key is
 * written and no row goes on. All sockets together get TURN_MS of a turn, and then wait for the next.
 *
 * Measured with 200,000 trades/s on one socket, tick to key: p99 240 ms without it, some 25 ms with it,
 * for 4 % more CPU (more on a busy machine). Turns of 4 ms cost 1 % and gave 50 ms.
 */

const TURN_MS = 2;

interface Pausable {
  pause(): void;
  resume(): void;
}

let startedAtMs: number | undefined;
let waiting: Pausable[] = [];

/** A frame came over `socket`, at `nowMs`. */
export function takeTurn(socket: Pausable, nowMs: number): void {
  if (startedAtMs === undefined) {
    startedAtMs = nowMs;
    setImmediate(endTurn);
  } else if (nowMs - startedAtMs > TURN_MS && !waiting.includes(socket)) {
    waiting.push(socket);
    socket.pause();
  }
}

function endTurn(): void {
  const sockets = waiting;
  startedAtMs = undefined;
  waiting = [];
  for (const socket of sockets) socket.resume();
}
