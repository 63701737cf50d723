/**
 * A server that outlives neither this process nor a Ctrl-C too early.
 *
 *   this process --pipe--> sh (own session) --> server
 *
 * The shell holds the reading end of a pipe to which nobody writes. When this process ends, however
 * it ends, the pipe ends too and the shell stops the server. The session of its own keeps the
 * terminal's SIGINT away: the daemon drains first and stops its servers last.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HyperfeedError } from '../errors.ts';
import { signalProcess, type StopSteps } from './process-table.ts';
import { cleanEnvironment } from './run.ts';

/**
 * The shell itself ends only after the server, also when a service manager signals every process at
 * once. SIGCONT, because a server that a test has paused could not see the stop signal.
 */
const SUPERVISOR = `
  trap : HUP INT TERM
  stop_signal=$1; shift
  exec 3<&0
  "$@" </dev/null 3<&- >&2 &
  server=$!
  echo "$server"
  {
    trap '' HUP INT TERM
    read -r _ <&3
    kill -s "$stop_signal" "$server"; kill -s CONT "$server"
  } >/dev/null 2>&1 &
  watcher=$!
  wait "$server"; status=$?
  while kill -0 "$server" 2>/dev/null; do wait "$server"; status=$?; done
  { kill -s KILL "$watcher"; wait "$watcher"; } 2>/dev/null
  exit "$status"
`;

export interface ServerProcess {
  readonly pid: number;
  /** How it ended, e.g. `exit code 1`; undefined while it runs. */
  readonly ended: string | undefined;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the server has ended: true, or false when that took too long. */
  waitForEnd(timeoutMs: number): Promise<boolean>;
  /** What the server has written, at most the last lines. */
  output(): Promise<string>;
}

export async function spawnServer(options: {
  command: readonly string[];
  /** Everything that the server writes goes here; emptied at each start. */
  logFile: string;
  stopSignal: NodeJS.Signals;
  env?: Record<string, string>;
}): Promise<ServerProcess> {
  await using log = await open(options.logFile, 'w');
  const stopSignal = options.stopSignal.replace(/^SIG/, '');
  const child = spawn('sh', ['-c', SUPERVISOR, 'hyperfeed', stopSignal, ...options.command], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'pipe', log.fd],
    env: { ...cleanEnvironment(), ...options.env },
  }) as ChildProcessByStdio<Socket, Socket, null>;
  let ended: string | undefined;
  const end = once(child, 'exit').then(([code, signal]) => {
    ended = signal ?? `exit code ${code}`;
    return true;
  });
  const failed = end.then(() => {
    throw new HyperfeedError('embedded_start', `sh could not start ${options.command[0]}`);
  });
  const [line] = await Promise.race([once(child.stdout, 'data'), failed]);
  const pid = Number(String(line));
  // A program that ends without stopping its servers ends all the same, and they with it.
  child.unref();
  child.stdin.unref();
  child.stdout.destroy();

  return {
    pid,
    get ended() {
      return ended;
    },
    signal(signal) {
      if (ended === undefined) signalProcess(pid, signal);
    },
    async waitForEnd(timeoutMs) {
      if (ended !== undefined) return true;
      const timeout = new AbortController();
      child.ref();
      try {
        return await Promise.race([end, sleep(timeoutMs, false, { signal: timeout.signal })]);
      } finally {
        timeout.abort();
        child.unref();
      }
    },
    async output() {
      return (await readFile(options.logFile, 'utf8')).slice(-4000);
    },
  };
}

export async function endServer(server: ServerProcess, steps: StopSteps): Promise<void> {
  for (const [signal, timeoutMs] of steps) {
    server.signal(signal);
    if (await server.waitForEnd(timeoutMs)) return;
  }
  throw new HyperfeedError('embedded_stuck', `process ${server.pid} does not end`);
}
