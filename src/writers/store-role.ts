/**
 * Which of several daemons of an exchange is the active one.
 *
 *   unknown --lock--> active --another has it after a lost session--> standby --lock--> active
 *                                                                     standby --no server--> unknown
 *
 * Who trusts for too long that another one stores, of whom nobody can tell, would lose what he lost.
 */
import type { Client } from 'pg';
import type { Logger } from '../log.ts';
import { tryTurn } from './turn.ts';

/** unknown: no server has told. Rows are accepted then, as if active: nothing may be lost. */
export type Role = 'unknown' | 'active' | 'standby';

export interface RoleOptions {
  /** What daemons of which one is active have in common; undefined: always active. */
  readonly turn?: string | undefined;
  /** Whose role this is too; undefined: it takes turns by itself. */
  readonly leader?: (() => Role) | undefined;
  /** For how long one on standby believes in the other without a server. */
  readonly trustMs?: number | undefined;
  readonly onRole?: ((role: Role) => void) | undefined;
  readonly logger: Logger;
}

const TURN_MS = 2_000;
/** Until the server has ended a session. */
const ENDING_MS = 200;

export function createRole({ turn, leader, trustMs = Infinity, onRole, logger }: RoleOptions) {
  let role: Role = 'unknown';
  let locked = false;
  let lockedPid: number | undefined;
  let dueAt = 0;
  let heardAt = performance.now();
  let stale = false;

  function become(next: Role): void {
    if (next === role) return;
    if (role === 'standby') stale = true;
    role = next;
    if (turn !== undefined) logger.info({ role }, 'role');
    onRole?.(next);
  }

  async function lock(client: Client, of: string): Promise<void> {
    const tried = await tryTurn(client, of, lockedPid);
    // After a lost session it stays what it was, until another one has the lock.
    if (tried.kind === 'former') dueAt = performance.now() + ENDING_MS;
    if (tried.kind === 'theirs') become('standby');
    if (tried.kind !== 'ours') return;
    locked = true;
    stale = true;
    lockedPid = tried.pid;
    become('active');
  }

  return {
    current: (): Role => leader?.() ?? role,
    dueInMs: (): number => Math.max(0, dueAt - performance.now()),
    /** A new session: it has no lock. */
    opened(): void {
      locked = false;
      dueAt = 0;
    },
    /** Also a sign of life: a session whose daemon is frozen is ended by the server, and its lock freed. */
    async take(client: Client): Promise<void> {
      dueAt = performance.now() + TURN_MS;
      if (turn === undefined || locked) await client.query('SELECT');
      else await lock(client, turn);
      if (turn === undefined) become(leader?.() ?? 'active');
      heardAt = performance.now();
    },
    /** Whether another daemon may have stored since this was asked last. */
    wasAway(): boolean {
      if (leader) become(leader());
      const was = stale;
      stale = false;
      return was;
    },
    /** There is no session. */
    lost(): void {
      if (role === 'standby' && !leader && performance.now() - heardAt > trustMs) become('unknown');
    },
  };
}
