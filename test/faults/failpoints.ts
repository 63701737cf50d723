/** Steps in the middle of which the daemon is killed, by a copy of the sources that kills itself. */
import type { Patch } from './patches.ts';

export interface Failpoint {
  readonly name: string;
  readonly patch: Patch;
  /** Dies when it comes here for the so manieth time, in [1, hits]. */
  readonly hits: number;
}

/** FAILPOINT=name:count */
function die(name: string): string {
  return `{
    const [failpoint, count] = (process.env.FAILPOINT ?? ':').split(':');
    globalThis.hits ??= 0;
    if (failpoint === '${name}' && ++globalThis.hits >= Number(count)) process.kill(process.pid, 'SIGKILL');
  }`;
}

function before(name: string, file: string, find: string, hits: number): Failpoint {
  return { name, hits, patch: { file, find, replace: `${die(name)}\n${find}` } };
}

function after(name: string, file: string, find: string, hits: number): Failpoint {
  return { name, hits, patch: { file, find, replace: `${find}\n${die(name)}` } };
}

const WRITER = 'src/writers/spool-writer.ts';
const TRANSACTION = 'src/writers/store-transaction.ts';

export const FAILPOINTS: readonly Failpoint[] = [
  before('append', WRITER, 'await writeAll(handle, bytes, segment.readable);', 100),
  after('fsync', WRITER, `if (fsync !== 'os') await handle.datasync();`, 100),
  after('rotate', WRITER, 'const handle = await createDurably(folder, path, header);', 2),
  before('copied', TRANSACTION, 'for (const rows of tables) stored.push(', 20),
  before('committed', TRANSACTION, 'watermarks.set(batch.epoch, last.seq);', 20),
  before('unlink', 'src/writers/spool-retention.ts', 'await rm(segment.path, { force: true });', 2),
  before('quarantine', TRANSACTION, 'breaker.check(batch.rows, found);', 1),
  before('gap', 'src/writers/gap-ledger.ts', 'gap.next = through + 1n;', 2),
];
