/**
 * Ways to lose rows that others went: each is put into a copy of the sources, and the scenario or the
 * test that is named must then fail. What cannot fail proves nothing.
 */
import type { Patch } from './patches.ts';
import type { Size } from './scenario.ts';

export interface Mutant {
  readonly name: string;
  readonly what: string;
  readonly patches: readonly Patch[];
  /** A scenario, or a test file. */
  readonly caughtBy:
    | { readonly scenario: string; readonly size: Size }
    | { readonly test: string; readonly env: Readonly<Record<string, string>> };
}

const TRANSACTION = 'src/writers/store-transaction.ts';
const STORE = 'src/writers/store.ts';
const PG = 'src/writers/pg.ts';

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'M1',
    what: 'the watermark is not kept by epoch',
    patches: [
      {
        file: TRANSACTION,
        find: 'const known = watermarks.get(epoch) ?? 0;',
        replace: 'void epoch; const known = Math.max(0, ...watermarks.values());',
      },
    ],
    caughtBy: { scenario: 'kill-accepted', size: 'short' },
  },
  {
    name: 'M2',
    what: 'a batch with a duplicate in it counts as stored (23505 is swallowed)',
    patches: [
      {
        file: STORE,
        find: 'let action = actionOf(error);',
        replace: `let action = actionOf(error);
        if (action === 'stage') {
          await client.query('ROLLBACK');
          return;
        }`,
      },
    ],
    caughtBy: { scenario: 'pair-killed', size: 'short' },
  },
  {
    name: 'M3',
    what: 'synchronous_commit = off',
    patches: [{ file: PG, find: `synchronous_commit: 'on'`, replace: `synchronous_commit: 'off'` }],
    caughtBy: { scenario: 'postgres-crash', size: 'full' },
  },
  {
    name: 'M4',
    what: 'rows count as accepted before fdatasync',
    patches: [
      {
        file: 'src/writers/spool-writer.ts',
        find: `if (fsync !== 'os') await handle.datasync();`,
        replace: `if (fsync !== 'os') setImmediate(() => void handle.datasync().catch(() => undefined));`,
      },
    ],
    caughtBy: { test: 'test/unit/spool-crash.test.ts', env: { CRASH_IMAGES: '5000' } },
  },
  {
    name: 'M5',
    what: 'after a deadline the session is let go, not destroyed',
    patches: [
      {
        file: PG,
        find: 'const timer = setTimeout(() => {',
        replace: `const late = Promise.withResolvers();
  const timer = setTimeout(() => {
    late.reject(new HyperfeedError('ETIMEDOUT', what + ' took too long'));
    return;`,
      },
      {
        file: PG,
        find: 'return await work();',
        replace: 'return await Promise.race([work(), late.promise]);',
      },
      { file: STORE, find: 'if (session) destroy(session.client);', replace: '' },
    ],
    caughtBy: { scenario: 'postgres-stalled', size: 'short' },
  },
  {
    name: 'M6',
    what: 'REST is not asked for the newest trade when a connection comes back',
    patches: [
      {
        file: 'src/ingest/repair.ts',
        find: 'resumed: tail.resumed,',
        replace: 'resumed: () => undefined,',
      },
    ],
    caughtBy: { scenario: 'lost-tail', size: 'short' },
  },
  {
    name: 'M7',
    what: 'the queue in memory has no bound in bytes',
    patches: [
      {
        file: 'src/writers/spool.ts',
        find: 'createSpoolMemory(config.memoryBytes)',
        replace: 'createSpoolMemory(Infinity)',
      },
    ],
    caughtBy: { scenario: 'postgres-down', size: 'full' },
  },
  {
    name: 'M8',
    what: 'the newest id is the cursor: holes behind it are not kept',
    patches: [
      {
        file: 'src/writers/gap-ledger.ts',
        find: 'if (holes.length > 0) {',
        replace: 'if (holes.length > Infinity) {',
      },
    ],
    caughtBy: { scenario: 'gap-and-kill', size: 'short' },
  },
];
