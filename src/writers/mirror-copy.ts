/** Copies rows of PostgreSQL into Redis, and removes from Redis what is no longer there. */
import type { ChainableCommander } from 'ioredis';
import type { Client } from 'pg';
import { HyperfeedError, messageOf } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Ids } from './mirror-changes.ts';
import { type MirrorBatch, requirePrimary, runBatch } from './mirror-batch.ts';
import type { MirroredRow, MirroredTable } from './mirror-tables.ts';
import { withDeadline } from './pg.ts';
import type { RedisConnection } from './redis-connection.ts';

const PAGE = 500;
const REDIS_TIMEOUT_MS = 2_000;

export type MirrorCopy = ReturnType<typeof createMirrorCopy>;

/** Belongs to one session and one connection; neither is of use after it threw anything else than `redis_refused`. */
export function createMirrorCopy(options: {
  readonly client: Client;
  readonly redis: RedisConnection;
  readonly tables: readonly MirroredTable[];
  readonly statementTimeoutMs: number;
  readonly metrics: Metrics;
}) {
  const { client, redis, tables, statementTimeoutMs, metrics } = options;
  /** The name under which a row was written: it is not to be had from a row that is gone. */
  const namesOf = new Map(tables.map(({ table }) => [table, new Map<number, string>()]));

  /** Throws `redis_refused` when it has done all that Redis lets it do. */
  async function copy(mirrored: MirroredTable, ids: Ids): Promise<void> {
    const names = namesOf.get(mirrored.table)!;
    let refused: HyperfeedError | undefined;
    // What turns out to have no row.
    const stale = ids === 'all' ? await namesInRedis(mirrored) : takeNames(names, ids);
    if (ids === 'all') names.clear();
    for await (const rows of pages(mirrored, ids)) {
      for (const { id, name } of rows) {
        stale.delete(name);
        names.set(id, name);
      }
      const put = (batch: ChainableCommander) => rows.forEach((row) => mirrored.put(batch, row));
      refused = (await send(mirrored, rows.length, 'put', put)) ?? refused;
    }
    for (const page of chunksOf(stale)) {
      const remove = (batch: ChainableCommander) =>
        page.forEach((name) => mirrored.remove(batch, name));
      refused = (await send(mirrored, page.length, 'remove', remove)) ?? refused;
    }
    if (refused) throw refused;
  }

  async function* pages({ table, select }: MirroredTable, ids: Ids) {
    const some = ids === 'all' ? null : [...ids];
    for (let after = Number.MIN_SAFE_INTEGER; ;) {
      const { rows } = await withDeadline(client, statementTimeoutMs, `reading ${table}`, () =>
        client.query<MirroredRow>(select, [some, after, PAGE]),
      );
      const last = rows.at(-1);
      if (!last) return;
      yield rows;
      if (rows.length < PAGE) return;
      after = last.id;
    }
  }

  async function namesInRedis({ pattern, nameOf, index }: MirroredTable): Promise<Set<string>> {
    const indexed = (key: string) => ask(() => requirePrimary(redis, key).smembers(key));
    const names = new Set(index === undefined ? [] : await indexed(index));
    for (const primary of redis.primaries()) {
      let cursor = '0';
      do {
        const [next, keys] = await ask(() =>
          // Whatever is not a HASH is somebody else's.
          primary.scan(cursor, 'MATCH', pattern, 'COUNT', 1_000, 'TYPE', 'hash'),
        );
        for (const name of keys.map(nameOf)) if (name !== undefined) names.add(name);
        cursor = next;
      } while (cursor !== '0');
    }
    return names;
  }

  /** A refused command does not stop the others. */
  async function send(
    { table, index }: MirroredTable,
    count: number,
    kind: MirrorBatch['kind'],
    queue: MirrorBatch['queue'],
  ): Promise<HyperfeedError | undefined> {
    const replies = await inTime(() => runBatch(redis, { kind, index, queue })).catch(
      (error: unknown) => {
        if (isReply(error)) return [[error] as const];
        throw error;
      },
    );
    metrics.mirrorRows.inc({ table }, count);
    const failed = replies.find(([error]) => error);
    return failed && refusal(failed[0]);
  }

  async function ask<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await inTime(command);
    } catch (error) {
      throw isReply(error) ? refusal(error) : error;
    }
  }

  async function inTime<T>(command: () => Promise<T>): Promise<T> {
    const timer = setTimeout(() => redis.primaries().forEach(redis.reset), REDIS_TIMEOUT_MS);
    try {
      return await command();
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    copy,
    /** Throws when one of the two is gone: an idle connection does not tell. */
    async checkConnections(): Promise<void> {
      await withDeadline(client, statementTimeoutMs, 'asking', () => client.query('SELECT 1'));
      for (const primary of redis.primaries()) await ask(() => primary.ping());
    },
    /** Rows that are mirrored, by table. */
    counts: () => Object.fromEntries([...namesOf].map(([table, { size }]) => [table, size])),
  };
}

function takeNames(names: Map<number, string>, ids: ReadonlySet<number>): Set<string> {
  const before = new Set<string>();
  for (const id of ids) {
    const name = names.get(id);
    if (name !== undefined) before.add(name);
    names.delete(id);
  }
  return before;
}

function* chunksOf(names: ReadonlySet<string>): Generator<string[]> {
  const all = [...names];
  for (let start = 0; start < all.length; start += PAGE) yield all.slice(start, start + PAGE);
}

/** Redis answered, with an error; the connection is well. */
function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** Redis repeats the arguments of a command that it does not know, and they hold tokens. */
function refusal(error: unknown): HyperfeedError {
  // Of a transaction that was not run it says so, and why next to it.
  const { previousErrors } = error as { previousErrors?: readonly unknown[] };
  const message = messageOf(previousErrors?.find(isReply) ?? error);
  const [reason = 'an error'] = /^[A-Z]+( unknown command '\w+')?/.exec(message) ?? [];
  return new HyperfeedError('redis_refused', `redis answers ${reason}`);
}
