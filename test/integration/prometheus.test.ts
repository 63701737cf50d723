/**
 * ops/prometheus with the real thing, from Debian's package `prometheus`: the rules by promtool, and a
 * server that scrapes a daemon and sees what happens to it. Skipped where it is not installed.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { succeeds } from '../../src/embedded/run.ts';
import {
  environmentOf,
  freshDatabase,
  hyperfeed,
  runProgram,
  type Settings,
  simulate,
  temporaryFolder,
} from '../support/daemon.ts';
import { isOk, OPS, type Prometheus, startPrometheus } from '../support/prometheus.ts';
import { startProxy } from '../support/proxy.ts';
import { freePort, redisDatabase, waitFor } from '../support/stack.ts';

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
    const prometheus = await startPrometheus({ binance: port });

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

test.skipIf(!installed)(
  'a standby is silent; a refused row, a take-over and two that store are told of',
  { timeout: 120_000 },
  async () => {
    const database = await freshDatabase();
    const simulation = await simulate();
    const redis = await redisDatabase();
    const start = async (port: number, settings: Settings = {}) => {
      const env = environmentOf({
        ...simulation.settings,
        'database.url': database.url,
        'redis.url': redis,
        'spool.directory': await temporaryFolder(),
        'standby.keepMs': 1_000,
        'http.port': port,
        ...settings,
      });
      const daemon = hyperfeed(['run'], { env });
      await waitFor(() => isOk(`http://127.0.0.1:${port}/readyz`), {
        what: 'a daemon to be ready',
        timeoutMs: 30_000,
      });
      return daemon;
    };
    const [port, other] = [await freePort(), await freePort()];
    const prometheus = await startPrometheus({ binance: port, 'binance-standby': other });
    const active = async () => {
      const found = await prometheus.labels('hyperfeed_active == 1');
      return found
        .map((labels) => `${labels['instance']}`)
        .toSorted((a, b) => a.localeCompare(b))
        .join();
    };
    const activeAre = (instances: string) =>
      waitFor(async () => (await active()) === instances, {
        what: `${instances} to be active`,
        timeoutMs: 30_000,
      });
    const daemon = await start(port);
    await activeAre('binance');
    await start(other);
    await waitFor(async () => (await prometheus.sum('hyperfeed_standby_rows')) > 0, {
      what: 'rows on standby',
      timeoutMs: 30_000,
    });
    const rounds = () => prometheus.sum('prometheus_rule_group_iterations_total');
    const before = await rounds();
    await waitFor(async () => (await rounds()) > before + 8, { what: 'some rounds of all rules' });
    expect(await prometheus.firing()).toEqual([]);

    const due = simulation.tradeIds('BTC/USDT')[1] + 30;
    await database.query(
      `ALTER TABLE trades ADD CHECK (symbol <> 'BTC/USDT' OR trade_id <> '${due}')`,
    );
    await prometheus.fires('HyperfeedRowsQuarantined');

    daemon.kill('SIGKILL');
    await daemon.ended;
    await activeAre('binance-standby');
    await prometheus.fires('HyperfeedDaemonDown', 'HyperfeedRowsQuarantined');

    await start(port, { symbols: ['ETH/USDT'] });
    await activeAre('binance,binance-standby');
    await prometheus.fires('HyperfeedTwoActive', 'HyperfeedRowsQuarantined');
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

/** Titles of panels of a daemon that is well that have nothing to show and are not about trouble. */
async function unanswered(prometheus: Prometheus): Promise<string[]> {
  const trouble =
    /errors_total|rejected_total|dropped_total|reconnects_total|gaps_total|resyncs_total|ALERTS|duplicate|gaps_detected|unfillable|quarantined/;
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
