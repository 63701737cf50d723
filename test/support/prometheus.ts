/** A Prometheus with our configuration and rules, in a hurry, that scrapes daemons of a test. */
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { spawnProgram, temporaryFolder } from './daemon.ts';
import { freePort, waitFor } from './stack.ts';

export const OPS = resolve(import.meta.dirname, '../../ops');

interface Alerts {
  readonly alerts: readonly {
    readonly state: string;
    readonly labels: Readonly<Record<string, string>>;
  }[];
}

interface Result {
  readonly result: readonly {
    readonly metric: Readonly<Record<string, string>>;
    readonly value?: readonly [number, string];
  }[];
}

export type Prometheus = Awaited<ReturnType<typeof startPrometheus>>;

/** Ours, but for addresses, and in a hurry. Daemons: the name of the service, and its port. */
export async function startPrometheus(daemons: Readonly<Record<string, number>>) {
  const folder = await temporaryFolder();
  const port = await freePort();
  const config = parse(await readFile(join(OPS, 'prometheus/prometheus.yml'), 'utf8')) as {
    global: Record<string, string>;
    scrape_configs: Record<string, unknown>[];
  };
  config.global = {
    scrape_interval: '250ms',
    scrape_timeout: '250ms',
    evaluation_interval: '250ms',
  };
  for (const job of config.scrape_configs) {
    const own = { targets: [`127.0.0.1:${port}`] };
    // What the name server would have told.
    const found = Object.entries(daemons).map(([name, daemonPort]) => ({
      targets: [`127.0.0.1:${daemonPort}`],
      labels: { __meta_dns_name: name },
    }));
    job['static_configs'] = job['dns_sd_configs'] ? found : [own];
    delete job['dns_sd_configs'];
  }
  const rules = await readFile(join(OPS, 'prometheus/alerts.yml'), 'utf8');
  await writeFile(join(folder, 'prometheus.yml'), stringify(config));
  await writeFile(join(folder, 'alerts.yml'), rules.replaceAll(/for: \d+m$/gm, 'for: 1s'));
  const server = spawnProgram('prometheus', [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  const base = `http://127.0.0.1:${port}`;
  await waitFor(
    async () => {
      if (server.hasEnded()) throw new Error(server.stderr.join('\n'));
      return isOk(`${base}/-/ready`);
    },
    { what: 'Prometheus', timeoutMs: 20_000 },
  );

  async function get<T>(path: string): Promise<T> {
    const response = await fetch(`${base}/api/v1/${path}`);
    const answer = (await response.json()) as { status: string; error?: string; data: T };
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`);
    return answer.data;
  }
  const query = (expr: string) => get<Result>(`query?query=${encodeURIComponent(expr)}`);
  const firing = async () => {
    const { alerts } = await get<Alerts>('alerts');
    return alerts.filter(({ state }) => state === 'firing').map(({ labels: l }) => l['alertname']);
  };
  return {
    get,
    query,
    firing,
    labels: async (expr: string) => (await query(expr)).result.map(({ metric }) => metric),
    sum: async (expr: string) =>
      (await query(expr)).result.reduce((sum, { value }) => sum + Number(value?.[1]), 0),
    /** These alerts and no others. */
    async fires(...names: string[]): Promise<void> {
      let seen: unknown;
      await waitFor(async () => JSON.stringify((seen = await firing())) === JSON.stringify(names), {
        what: `${names.join() || 'no alert'} to fire`,
        timeoutMs: 20_000,
      }).catch((error: unknown) => {
        throw new Error(`firing: ${JSON.stringify(seen)}`, { cause: error });
      });
    },
  };
}

export function isOk(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}
