/**
 * A folder for servers that nobody will miss. It goes when it is asked to or when this process ends,
 * however that ends: the folder's keeper waits on a pipe, like the supervisor in server-process.ts.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HyperfeedError } from '../errors.ts';

/** PostgreSQL removes its lock file last, and would crash loudly without its files. */
const KEEPER = `
  trap '' HUP INT TERM
  read -r _
  tries=0
  while [ -e "$1/postgres/postmaster.pid" ] && [ "$tries" -lt 200 ]; do
    sleep 0.1; tries=$((tries + 1))
  done
  rm -rf -- "$1"
`;

export interface ThrowawayFolder {
  readonly path: string;
  remove(): Promise<void>;
}

export async function createThrowawayFolder(): Promise<ThrowawayFolder> {
  const path = await mkdtemp(join(tmpdir(), 'hyperfeed-'));
  // PostgreSQL may run as another user; what is inside protects itself.
  await chmod(path, 0o711);
  const keeper = spawn('sh', ['-c', KEEPER, 'hyperfeed', path], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  await once(keeper, 'spawn');
  const ended = once(keeper, 'exit');
  const pipe = keeper.stdin as Socket;
  keeper.unref();
  pipe.unref();
  return {
    path,
    async remove() {
      keeper.ref();
      pipe.end();
      const [code] = await ended;
      if (code !== 0) throw new HyperfeedError('embedded_folder', `${path} could not be removed`);
    },
  };
}
