/** A primary that Sentinels watch over goes down: nothing is lost, and what is stale is put right. */
import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { usedMemory } from '../support/daemon.ts';
import { pushRound, startLatest, tradeOf } from '../support/latest.ts';
import { startSentinels, startValkey, type Valkey } from '../support/valkey.ts';
import { waitFor } from '../support/stack.ts';

const SYMBOLS = Array.from({ length: 100 }, (_, i) => `S${i}/USDT`);

async function keysAt(client: Redis, n: number): Promise<number> {
  const expected = String(Math.floor(tradeOf('', n).time / 1000));
  const times = await Promise.all(
    SYMBOLS.flatMap((symbol) => [
      client.hget(`price:binance:${symbol}`, 'timestamp'),
      client.hget(`orderbook:binance:${symbol}`, 'timestamp'),
    ]),
  );
  return times.filter((time) => time === expected).length;
}

const isPrimary = async ({ client }: Valkey) =>
  (await client.info('replication')).includes('role:master');

test.each(['killed', 'frozen'])(
  'the primary is %s: the promoted one has the newest values within 2 s',
  { timeout: 60_000 },
  async (how) => {
    const { primary, replica, url } = await startSentinels();
    const { latest } = await startLatest({ url });
    let round = 0;
    const next = () => pushRound(latest, SYMBOLS, ++round);
    next();
    await waitFor(async () => (await keysAt(replica.client, 1)) === 200, {
      what: 'the first round',
    });
    const before = usedMemory();

    if (how === 'killed') await primary.kill();
    else primary.pause();
    await waitFor(
      () => {
        next();
        return isPrimary(replica);
      },
      { what: 'the promotion', timeoutMs: 20_000 },
    );
    await waitFor(async () => (await keysAt(replica.client, round)) === 200, {
      what: 'the newest values',
      timeoutMs: 2_500,
    });
    expect(usedMemory() - before).toBeLessThan(15 * 1024 * 1024);

    if (how === 'frozen') {
      // It wakes up and believes that it is the primary still.
      primary.resume();
      next();
      await waitFor(async () => (await keysAt(replica.client, round)) === 200, {
        what: 'the newest values, where they belong',
      });
    }
    await waitFor(() => latest.report().status['unwritten'] === 0, { what: 'all to be written' });
    expect(latest.report().reasons).toEqual([]);
  },
);

test('one sentinel is enough to begin with, and none is waited for', async () => {
  const { primary, sentinels, url } = await startSentinels();
  await Promise.all(sentinels.slice(0, 2).map(({ kill }) => kill()));
  const { latest } = await startLatest({ url });
  latest.push(tradeOf('BTC/USDT', 1));
  await waitFor(() => primary.client.exists('price:binance:BTC/USDT'), { what: 'the key' });
  expect(latest.report().reasons).toEqual([]);
});

test('a name that the sentinels do not know is said, and so is a password that they ask for', async () => {
  const sentinel = await startValkey({
    sentinel: true,
    settings: ['requirepass "right"'],
    clientOptions: { password: 'right' },
  });
  const url = `redis+sentinel://127.0.0.1:${sentinel.port}/nobody`;
  const told = (log: readonly string[], text: string) =>
    waitFor(() => log.some((line) => line.includes(text)), { what: text });
  const refused = await startLatest({ url });
  await told(refused.log, 'NOAUTH');
  const unknown = await startLatest({ url, sentinelPassword: 'right' });
  await told(unknown.log, 'No such master');
  expect([...refused.log, ...unknown.log].join('')).not.toContain('right');
});
