/**
 * ops/prometheus with the real thing, from Debian's package `prometheus`: the rules by promtool, and a
 * server that scrapes a daemon and sees what happens to it. Skipped where it is not installed.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { succeeds } from '../../src/embedded/run.ts';
import {
  environmentOf,
  freshDatabase,
  hyperfeed,
  runProgram,
  simulate,
  spawnProgram,
  temporaryFolder,
} from '../support/daemon.ts';
import { startProxy } from '../support/proxy.ts';
import { freePort, redisDatabase, waitFor } from '../support/stack.ts';

const OPS = resolve(import.meta.dirname, '../../ops');
const installed =
  (await succeeds(['prometheus', '--version'])) && (await succeeds(['promtool', '--version']));
if (!installed) console.warn('prometheus is not installed (apt-get install prometheus): skipped');

describe.skipIf(!installed)('promtool', () => {
  test.for([
    ['check', 'config', 'prometheus.yml'],
    ['check', 'rules', 'alerts.yml'],
    ['test', 'rules', 'alerts.test.yml'],
  ])('%s %s %s', async ([verb = '', what = '', file = '']) => {
    const path = join(OPS, 'prometheus', file);
    const { code, stdout, stderr } = await runProgram('promtool', [verb, what, path]);
    expect(`${stdout.join('\n')}${stderr.join('\n')}`).toContain('SUCCESS');
    expect(code).toBe(0);
  });
});

test.skipIf(!installed)(
  'Prometheus finds the daemon, is silent while it is well, and names what befalls it',
  { timeout: 120_000 },
  async () => {
    const simulation = await simulate();
    const proxy = await startProxy((await freshDatabase()).url);
    const wire = await startProxy(simulation.exchange.wsUrl);
    const port = await freePort();
    const env = environmentOf({
      ...simulation.settings,
      'connection.wsUrl': wire.url,
      'database.url': proxy.url,
      'redis.url': await redisDatabase(),
      'spool.directory': await temporaryFolder(),
      'http.port': port,
    });
    const daemon = hyperfeed(['run'], { env });
    await waitFor(() => isOk(`http://127.0.0.1:${port}/readyz`), {
      what: 'the daemon to be ready',
      timeoutMs: 30_000,
    });
    const prometheus = await startPrometheus(port);

    const targets = await waitFor(
      async () => {
        const { activeTargets } = await prometheus.get<Targets>('targets?state=active');
        const up = activeTargets.filter(({ health }) => health === 'up');
        return up.length === 2 ? up : undefined;
      },
      { what: 'both targets to be up' },
    );
    const { instance, exchange } = targets.find(
      ({ labels: l }) => l['job'] === 'hyperfeed',
    )!.labels;
    expect([instance, exchange]).toEqual(['binance', 'binance']);

    // Each rule twice at least: none fails, and none fires.
    const text = await readFile(join(OPS, 'prometheus/alerts.yml'), 'utf8');
    await waitFor(
      async () => (await prometheus.sum('prometheus_rule_group_iterations_total')) > 8,
      {
        what: 'some rounds of all rules',
      },
    );
    const { groups } = await prometheus.get<Rules>('rules');
    const rules = groups.flatMap((group) => group.rules);
    expect(rules).toHaveLength([...text.matchAll(/- alert:/g)].length);
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
    expect(await prometheus.firing()).toEqual([]);

    // A rate needs two scrapes.
    await waitFor(async () => (await unanswered(prometheus)).length === 0, {
      what: 'rates',
      timeoutMs: 20_000,
    }).catch(async () => expect(await unanswered(prometheus)).toEqual([]));

    // The daemon calls its exchange by name; with the label of the target there is no second one.
    expect(await prometheus.labels('hyperfeed_ws_connected')).toEqual([
      { __name__: 'hyperfeed_ws_connected', exchange, instance, job: 'hyperfeed' },
    ]);

    proxy.refuse(true);
    proxy.reset();
    await prometheus.fires('HyperfeedDatabaseDown');
    proxy.refuse(false);
    await prometheus.fires();

    wire.refuse(true);
    wire.reset();
    await prometheus.fires('HyperfeedNotConnected');

    daemon.kill('SIGKILL');
    await daemon.ended;
    await prometheus.fires('HyperfeedDaemonDown');
  },
);

interface Targets {
  readonly activeTargets: readonly {
    readonly health: string;
    readonly labels: Readonly<Record<string, string>>;
  }[];
}

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly health: string }[] }[];
}

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

type Prometheus = Awaited<ReturnType<typeof startPrometheus>>;

/** Ours, but for addresses, and in a hurry. */
async function startPrometheus(daemonPort: number) {
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
    const found = {
      targets: [`127.0.0.1:${daemonPort}`],
      labels: { __meta_dns_name: 'binance' },
    };
    job['static_configs'] = [job['dns_sd_configs'] ? found : own];
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

function isOk(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** Titles of panels of a daemon that is well that have nothing to show and are not about trouble. */
async function unanswered(prometheus: Prometheus): Promise<string[]> {
  const trouble =
    /errors_total|rejected_total|dropped_total|reconnects_total|gaps_total|resyncs_total|ALERTS|duplicate/;
  const folder = join(OPS, 'grafana/dashboards');
  const titles: string[] = [];
  for (const file of await readdir(folder)) {
    const { panels } = JSON.parse(await readFile(join(folder, file), 'utf8')) as {
      panels: { title: string; targets?: { expr?: string }[] }[];
    };
    for (const { title, targets = [] } of panels) {
      for (const { expr } of targets) {
        if (expr === undefined) continue;
        const asked = expr
          .replaceAll(/\$__(rate_)?interval/g, '5s')
          .replaceAll('$exchange', 'binance');
        const { result } = await prometheus.query(asked);
        if (result.length === 0 && !trouble.test(expr)) titles.push(`${file}: ${title}`);
      }
    }
  }
  return titles;
}
