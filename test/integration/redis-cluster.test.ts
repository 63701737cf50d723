/** Keys spread over the primaries of a cluster, of which one goes down. */
import { Cluster } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { usedMemory } from '../support/daemon.ts';
import { pushRound, startLatest, tradeOf } from '../support/latest.ts';
import { mirroredDatabase, startMirror } from '../support/mirror.ts';
import { waitFor } from '../support/stack.ts';
import { startCluster, startValkey, type Valkey } from '../support/valkey.ts';

const SYMBOLS = Array.from({ length: 200 }, (_, i) => `S${i}/USDT`);

function clusterClient(nodes: readonly Valkey[]): Cluster {
  const client = new Cluster(
    nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
    { slotsRefreshInterval: 300, redisOptions: { socketTimeout: 1_000 } },
  );
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

async function keysAt(client: Cluster, n: number): Promise<number> {
  const expected = String(Math.floor(tradeOf('', n).time / 1000));
  const times = await Promise.all(
    SYMBOLS.flatMap((symbol) => [
      client.hget(`price:binance:${symbol}`, 'timestamp').catch(() => null),
      client.hget(`orderbook:binance:${symbol}`, 'timestamp').catch(() => null),
    ]),
  );
  return times.filter((time) => time === expected).length;
}

test.each(['killed', 'frozen'])(
  'a primary is %s: the other keys go on, and its own are right within 2 s of the failover',
  { timeout: 60_000 },
  async (how) => {
    const { nodes, primaries, replicas, url } = await startCluster();
    const client = clusterClient(nodes);
    const { latest } = await startLatest({ url, publish: true });
    let round = 0;
    const next = () => pushRound(latest, SYMBOLS, ++round);
    next();
    await waitFor(async () => (await keysAt(client, 1)) === 400, { what: 'the first round' });
    for (const { client: node } of primaries) expect(await node.dbsize()).toBeGreaterThan(50);
    const before = usedMemory();

    const [down] = primaries;
    const [heir] = replicas;
    if (how === 'killed') await down?.kill();
    else down?.pause();
    const isPrimary = async () =>
      (await heir?.client.info('replication'))?.includes('role:master') === true;
    const other = await primaries[1]?.client.randomkey();
    const timeOfOther = () => primaries[1]?.client.hget(other ?? '', 'timestamp');
    const wasAt = await timeOfOther();
    await waitFor(
      async () => {
        next();
        return (await timeOfOther()) !== wasAt;
      },
      { what: 'a key of another primary', timeoutMs: 3_000 },
    );
    await waitFor(
      () => {
        next();
        return isPrimary();
      },
      { what: 'the failover', timeoutMs: 20_000 },
    );
    const rightAt = round;
    await waitFor(async () => (await keysAt(client, rightAt)) === 400, {
      what: 'the newest values',
      timeoutMs: 2_500,
    });
    expect(usedMemory() - before).toBeLessThan(20 * 1024 * 1024);
    await waitFor(() => latest.report().status['unwritten'] === 0, { what: 'all to be written' });
    expect(latest.report().reasons).toEqual([]);
  },
);

test('a primary that comes back empty gets its keys again, though no update comes', async () => {
  const node = await startValkey({
    settings: ['cluster-enabled yes', 'cluster-announce-ip 127.0.0.1'],
  });
  await node.client.cluster('ADDSLOTSRANGE', 0, 16_383);
  const settled = () =>
    waitFor(async () => (await node.client.cluster('INFO')).includes('cluster_state:ok'), {
      what: 'the cluster',
    });
  await settled();
  const { latest } = await startLatest({ url: `redis+cluster://127.0.0.1:${node.port}` });
  for (const symbol of SYMBOLS) latest.push(tradeOf(symbol, 1));
  await waitFor(async () => (await node.client.dbsize()) === 200, { what: 'the keys' });
  await node.restart();
  expect(await node.client.dbsize()).toBe(0);
  await waitFor(async () => (await node.client.dbsize()) === 200, {
    what: 'the keys again',
    timeoutMs: 6_000,
  });
});

test(
  'the mirror: strategies, their index and sessions, on whichever primary they belong',
  { timeout: 60_000 },
  async () => {
    const { nodes, primaries, url } = await startCluster();
    const client = clusterClient(nodes);
    const database = await mirroredDatabase();
    await database.query(
      `INSERT INTO strategies (name, config, is_active)
       SELECT n::text, '{"step": 0.10}', n % 2 = 0 FROM generate_series(1, 60) AS n`,
    );
    await client.hset('strategy:999', { config: '{}', is_active: 'true' });
    await client.sadd('strategies:active', '999');
    const mirror = await startMirror({ databaseUrl: database.url, redisUrl: url });
    await mirror.is('active', 20_000);

    expect((await client.smembers('strategies:active')).toSorted()).toHaveLength(30);
    expect(await client.hgetall('strategy:2')).toEqual({
      config: '{"step": 0.10}',
      is_active: 'true',
    });
    expect(await client.exists('strategy:999')).toBe(0);
    const spread = await Promise.all(primaries.map(({ client: node }) => node.dbsize()));
    expect(spread.every((keys) => keys > 5)).toBe(true);

    await database.query('DELETE FROM strategies WHERE id <= 30');
    await waitFor(async () => (await client.scard('strategies:active')) === 15, {
      what: 'the change',
    });
    await waitFor(async () => (await client.exists('strategy:2')) === 0, { what: 'the removal' });

    await primaries[0]?.kill();
    await database.query(`UPDATE strategies SET config = '{"step": 0.20}'`);
    const isRight = async () => {
      const ids = Array.from({ length: 30 }, (_, i) => 31 + i);
      const configs = await Promise.all(
        ids.map((id) => client.hget(`strategy:${id}`, 'config').catch(() => null)),
      );
      return configs.every((config) => config === '{"step": 0.20}');
    };
    await waitFor(isRight, { what: 'every strategy, after the failover', timeoutMs: 20_000 });
  },
);
