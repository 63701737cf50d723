/** Alerts, scrapes and dashboards against what the daemon exports: no Prometheus, no Grafana needed. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { exchangeIds } from '../../src/ingest/registry.ts';
import { collectProcessMetrics, createMetrics } from '../../src/metrics.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<'summary' | 'description' | 'runbook', string>>;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly datasource?: DataSource;
  readonly targets?: readonly (Query & { readonly datasource: DataSource })[];
}

interface DataSource {
  readonly type: string;
  readonly uid: string;
}

interface Query {
  readonly expr?: string;
  readonly rawSql?: string;
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly datasource?: DataSource }[];
  };
}

const ROOT = resolve(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const rules = (
  parse(read('ops/prometheus/alerts.yml')) as { groups: { rules: Rule[] }[] }
).groups.flatMap((group) => group.rules);
const DASHBOARDS = 'ops/grafana/dashboards';
const dashboards = readdirSync(join(ROOT, DASHBOARDS)).map((file): [string, Dashboard] => [
  file,
  JSON.parse(read(join(DASHBOARDS, file))) as Dashboard,
]);

const metrics = createMetrics('binance');
collectProcessMetrics(metrics);
/** Name of a series -> its labels. */
const series = new Map<string, readonly string[]>();
for (const metric of metrics.registry.getMetricsAsArray()) {
  const {
    name,
    type,
    labelNames = [],
  } = metric as typeof metric & {
    readonly labelNames?: readonly string[];
  };
  const labels = [...labelNames, 'exchange'];
  series.set(name, labels);
  if (type !== 'histogram') continue;
  series.set(`${name}_bucket`, [...labels, 'le']);
  series.set(`${name}_count`, labels);
  series.set(`${name}_sum`, labels);
}
series.set('up', ['job', 'exchange', 'instance']);
series.set('ALERTS', ['alertname', 'alertstate', 'severity', 'exchange']);

/** Every series in a query exists and has the labels by which it is chosen. */
function expectKnown(expr: string): void {
  const used = [
    ...expr.matchAll(/\b(hyperfeed_\w+|process_\w+|nodejs_\w+|up|ALERTS)\b(\{[^}]*\})?/g),
  ];
  expect(used.length, expr).toBeGreaterThan(0);
  for (const [, name = '', selector = ''] of used) {
    expect([...series.keys()], expr).toContain(name);
    for (const [, label] of selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)) {
      expect(series.get(name), expr).toContain(label);
    }
  }
  const known = new Set([...series.values()].flat());
  for (const [, list = ''] of expr.matchAll(/\b(?:by|on)\s*\(([^)]*)\)/g)) {
    for (const label of list.split(',')) expect(known, expr).toContain(label.trim());
  }
}

describe('Prometheus', () => {
  test.for(rules)(
    '$alert says what it is and what to do',
    ({ alert, expr, labels, annotations }) => {
      expectKnown(expr);
      expect(alert).toMatch(/^Hyperfeed[A-Z]\w+$/);
      expect(labels.severity).toMatch(/^(warning|critical)$/);
      expect(annotations.summary).toContain('{{ $labels.exchange }}');
      expect(annotations.description.length).toBeGreaterThan(20);
      const [file = '', anchor] = annotations.runbook.split('#');
      expect(existsSync(join(ROOT, file))).toBe(true);
      expect(anchor).toBe(alert.toLowerCase());
      expect(read(file)).toContain(`\n## ${alert}\n`);
    },
  );

  test('every alert is tested: that it fires, and that it is silent', () => {
    // Every test has the same daemon beside it, by an alias.
    const { tests } = parse(read('ops/prometheus/alerts.test.yml'), { maxAliasCount: -1 }) as {
      tests: {
        name: string;
        promql_expr_test: { expr: string; exp_samples?: { labels: string }[] }[];
      }[];
    };
    const checks = tests.flatMap((one) => one.promql_expr_test);
    // All alerts that fire are counted, so whatever is not named is silent.
    expect(new Set(checks.map(({ expr }) => expr))).toEqual(
      new Set(['count by (alertname, exchange) (ALERTS{alertstate="firing"})']),
    );
    const fired = checks.flatMap(({ exp_samples: samples = [] }) =>
      samples.map(({ labels }) => /alertname="(\w+)"/.exec(labels)?.[1] ?? ''),
    );
    expect([...new Set(fired)].toSorted()).toEqual(rules.map(({ alert }) => alert).toSorted());
    for (const { name, promql_expr_test: own } of tests) {
      expect(
        own.some(({ exp_samples: samples }) => !samples),
        name,
      ).toBe(true);
    }
  });

  test('it looks for every service that is a daemon, on the port of the image', () => {
    const { scrape_configs: jobs } = parse(read('ops/prometheus/prometheus.yml')) as {
      scrape_configs: { dns_sd_configs?: { names: string[]; port: number }[] }[];
    };
    const [discovery] = jobs.flatMap(({ dns_sd_configs: found = [] }) => found);
    const others = ['binance-simulated', 'binance-standby'];
    expect(discovery?.names.toSorted()).toEqual([...exchangeIds, ...others].toSorted());
    expect(read('Dockerfile')).toContain(`\nEXPOSE ${discovery?.port}\n`);
  });
});

describe('Grafana', () => {
  const sources = (
    parse(read('ops/grafana/provisioning/datasources/hyperfeed.yml'), { merge: true }) as {
      datasources: { uid: string; type: string; url: string }[];
    }
  ).datasources;
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as {
    services: Record<string, { volumes?: string[]; environment?: Record<string, string> }>;
  };

  test('data sources are services; dashboards are where the provider looks', () => {
    for (const { url } of sources) {
      const host = /^(?:http:\/\/)?(\w+):\d+$/.exec(url)?.[1] ?? '';
      expect(Object.keys(services)).toContain(host);
    }
    const { volumes = [], environment = {} } = services['grafana'] ?? {};
    const provider = parse(read('ops/grafana/provisioning/dashboards/hyperfeed.yml')) as {
      providers: { options: { path: string } }[];
    };
    const folder = provider.providers[0]?.options.path;
    expect(volumes).toContain(`./${DASHBOARDS}:${folder}:ro`);
    const home = environment['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH'] ?? '';
    expect(existsSync(join(ROOT, home.replace(`${folder}`, DASHBOARDS)))).toBe(true);
    const secrets = read('ops/grafana/provisioning/datasources/hyperfeed.yml').matchAll(/\$(\w+)/g);
    for (const [, name = ''] of secrets) expect(Object.keys(environment)).toContain(name);
  });

  test.for(dashboards)('%s: queries of series that exist', ([, dashboard]) => {
    const variables = new Set(dashboard.templating.list.map(({ name }) => name));
    for (const panel of dashboard.panels) {
      for (const { expr, rawSql, datasource } of panel.targets ?? []) {
        if (expr !== undefined) expectKnown(expr);
        const text = expr ?? rawSql ?? '';
        expect(text, panel.title).not.toBe('');
        for (const [, name = ''] of text.matchAll(/\$(\w+)/g)) {
          expect(variables.has(name) || name.startsWith('__'), `${panel.title}: $${name}`).toBe(
            true,
          );
        }
        const uid = datasource.uid === '${datasource}' ? 'timescaledb' : datasource.uid;
        expect(sources).toContainEqual(expect.objectContaining({ uid, type: datasource.type }));
        expect(datasource).toEqual(panel.datasource);
        expect(datasource.type === 'prometheus').toBe(expr !== undefined);
      }
    }
  });

  test.for(dashboards)('%s: panels in their places', ([, { uid, panels }]) => {
    expect(uid).toMatch(/^hyperfeed-\w+$/);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { title, type, gridPos, targets } of panels) {
      expect(title).not.toBe('');
      expect(type === 'row').toBe(targets === undefined);
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x}:${y}`), title).toBe(false);
          taken.add(`${x}:${y}`);
        }
      }
    }
  });
});
