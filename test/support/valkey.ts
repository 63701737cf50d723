/** Valkey servers with settings of their own: Sentinels, nodes of a cluster, TLS. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { onTestFinished } from 'vitest';
import { prepareDebian } from '../../src/embedded/debian.ts';
import { succeeds } from '../../src/embedded/run.ts';
import { endServer, spawnServer } from '../../src/embedded/server-process.ts';
import { DEFAULT_CACHE_DIR } from '../../src/embedded/stack.ts';
import { createThrowawayFolder } from '../../src/embedded/throwaway.ts';
import { freePort, waitFor } from './stack.ts';

export type Valkey = Awaited<ReturnType<typeof startValkey>>;

/** Gone when the test ends. Each line of `settings` is one of valkey.conf. */
export async function startValkey({
  settings = [],
  sentinel = false,
  clientOptions = {},
}: {
  readonly settings?: readonly string[];
  readonly sentinel?: boolean;
  /** To reach it: credentials, TLS. */
  readonly clientOptions?: Pick<RedisOptions, 'username' | 'password' | 'tls'>;
} = {}) {
  const folder = await createThrowawayFolder();
  onTestFinished(() => folder.remove());
  const port = await freePort();
  const file = join(folder.path, 'valkey.conf');
  const common = [
    'bind 127.0.0.1',
    `dir ${folder.path}`,
    'set-proc-title no',
    ...(settings.some((line) => line.startsWith('tls-port'))
      ? []
      : [`${clientOptions.tls ? 'tls-port' : 'port'} ${port}`]),
    ...(clientOptions.tls ? ['port 0'] : []),
    ...(sentinel ? [] : ['save ""', 'appendonly no']),
  ];
  await writeFile(file, `${[...common, ...settings].join('\n')}\n`);
  const launch = async () => {
    const server = await spawnServer({
      command: [...(await program()), file, ...(sentinel ? ['--sentinel'] : [])],
      logFile: join(folder.path, 'valkey.log'),
      stopSignal: 'SIGTERM',
    });
    return server;
  };
  let server = await launch();
  const kill = () => endServer(server, [['SIGKILL', 5_000]]);
  onTestFinished(async () => {
    server.signal('SIGCONT');
    await kill();
  });
  const client = new Redis({ ...clientOptions, port, host: '127.0.0.1', retryStrategy: () => 20 });
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  const answers = async () => {
    if (server.ended !== undefined) throw new Error(await server.output());
    return (await client.ping().catch(() => '')) === 'PONG';
  };
  await waitFor(answers, { what: 'valkey to answer' });

  return {
    port,
    client,
    kill,
    async restart() {
      await kill();
      server = await launch();
      await waitFor(answers, { what: 'valkey to answer' });
    },
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
  };
}

async function program(): Promise<readonly string[]> {
  for (const name of ['valkey-server', 'redis-server']) {
    if (await succeeds([name, '--version'])) return [name];
  }
  const debian = await prepareDebian(DEFAULT_CACHE_DIR, { info: () => {} });
  if ('unavailable' in debian) throw new Error(debian.unavailable);
  return debian.runtime.loaderCommand(join(debian.runtime.root, 'usr/bin/valkey-server'));
}

/** A primary, a replica and three Sentinels that agree on a new primary within two seconds or so. */
export async function startSentinels(settings: readonly string[] = []) {
  const primary = await startValkey({ settings });
  const replica = await startValkey({
    settings: [...settings, `replicaof 127.0.0.1 ${primary.port}`],
  });
  await waitFor(async () => (await replica.client.info('replication')).includes('link_status:up'), {
    what: 'the replica to follow',
  });
  const watching = [
    `sentinel monitor prices 127.0.0.1 ${primary.port} 2`,
    'sentinel down-after-milliseconds prices 700',
    'sentinel failover-timeout prices 3000',
  ];
  const sentinels = await Promise.all(
    [1, 2, 3].map(() => startValkey({ settings: watching, sentinel: true })),
  );
  const knows = async ({ client }: Valkey) => {
    const fields = await client.call('SENTINEL', 'MASTER', 'prices');
    const text = JSON.stringify(fields);
    return /"num-other-sentinels"[,:]"2"/.test(text) && /"num-slaves"[,:]"1"/.test(text);
  };
  for (const sentinel of sentinels) {
    await waitFor(() => knows(sentinel), { what: 'the sentinels to know each other' });
  }
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
  return { primary, replica, sentinels, url: `redis+sentinel://${hosts}/prices` };
}

/** Three primaries, each with a replica. */
export async function startCluster() {
  const settings = [
    'cluster-enabled yes',
    'cluster-node-timeout 1000',
    'cluster-replica-validity-factor 0',
  ];
  const nodes = await Promise.all([1, 2, 3, 4, 5, 6].map(() => startValkey({ settings })));
  const primaries = nodes.slice(0, 3);
  const replicas = nodes.slice(3);
  const [first] = primaries;
  if (!first) throw new Error('no node');
  for (const [i, { client }] of primaries.entries()) {
    const bounds = [Math.ceil((i * 16384) / 3), Math.ceil(((i + 1) * 16384) / 3) - 1] as const;
    await client.cluster('ADDSLOTSRANGE', ...bounds);
    await client.call('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1));
  }
  for (const { client } of nodes.slice(1)) await client.cluster('MEET', '127.0.0.1', first.port);
  for (const { client } of nodes) {
    await waitFor(async () => (await client.cluster('INFO')).includes('cluster_known_nodes:6'), {
      what: 'the nodes to know each other',
    });
  }
  for (const [i, { client }] of replicas.entries()) {
    const id = (await primaries[i]?.client.call('CLUSTER', 'MYID')) as string;
    await waitFor(
      () =>
        client.cluster('REPLICATE', id).then(
          () => true,
          () => false,
        ),
      {
        what: 'a replica to find its primary',
      },
    );
  }
  for (const { client } of nodes) {
    await waitFor(async () => (await client.cluster('INFO')).includes('cluster_state:ok'), {
      what: 'the cluster',
    });
  }
  for (const { client } of replicas) {
    await waitFor(async () => (await client.info('replication')).includes('link_status:up'), {
      what: 'a replica to follow',
    });
  }
  const url = `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  return { nodes, primaries, replicas, url };
}
