/**
 * When keys of Redis are written, seen by a process of its own, so that a busy event loop of ours cannot
 * hide its own delay. As a program it watches: prints `watching`, and at the end of its input, for each
 * key, the moments of its writes and the timestamps that it held then.
 *
 *   node bench/key-watch.ts REDIS_URL KEY...
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { Redis } from 'ioredis';

/** Microseconds of a clock that all processes share. */
export const clock = () => Number(process.hrtime.bigint() / 1000n);

/** `at` in microseconds of the clock; `timestamp` in milliseconds, as the key says. */
export interface Tick {
  readonly key: string;
  readonly at: number;
  readonly timestamp: number;
}

/** Returns how to end it: milliseconds from each of the ticks until its key shows it, or a newer one. */
export async function watchKeys(
  url: string,
  keys: readonly string[],
): Promise<(ticks: readonly Tick[]) => Promise<number[]>> {
  const child = spawn(process.execPath, [import.meta.filename, url, ...keys], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const output = text(child.stdout);
  await once(child.stdout, 'data');
  return async (ticks) => {
    child.stdin.end();
    const writes = JSON.parse((await output).replace('watching', '')) as Tick[];
    const byKey = Map.groupBy(writes, ({ key }) => key);
    return ticks.map(({ key, at, timestamp }) => {
      const shown = byKey.get(key)?.find((write) => write.timestamp >= timestamp);
      if (!shown) throw new Error(`a tick did not reach ${key}`);
      return (shown.at - at) / 1000;
    });
  };
}

async function watch(url: string, keys: readonly string[]): Promise<void> {
  const [reader, redis] = [new Redis(url), new Redis(url)];
  const database = new URL(url).pathname.slice(1) || '0';
  const prefix = `__keyspace@${database}__:`;
  const writes: Promise<Tick>[] = [];
  redis.on('message', (channel: string) => {
    const [key, at] = [channel.slice(prefix.length), clock()];
    writes.push(
      reader.hget(key, 'timestamp').then((value) => ({ key, at, timestamp: Number(value) })),
    );
  });
  await redis.config('SET', 'notify-keyspace-events', 'Kh');
  await redis.subscribe(...keys.map((key) => prefix + key));
  process.stdout.write('watching');
  process.stdin.resume();
  await once(process.stdin, 'end');
  process.stdout.write(JSON.stringify(await Promise.all(writes)));
  redis.disconnect();
  reader.disconnect();
}

if (import.meta.main) {
  const [url = '', ...keys] = process.argv.slice(2);
  await watch(url, keys);
}
