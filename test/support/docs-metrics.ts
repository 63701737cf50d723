/** docs/metrics.md, from the registry itself. */
import { createMetrics } from '../../src/metrics.ts';
import { markdownTable } from './docs-table.ts';

export function renderMetricsDoc(): string {
  const rows = createMetrics('binance')
    .registry.getMetricsAsArray()
    .map((metric) => {
      const { name, help, type, labelNames } = metric as typeof metric & {
        readonly labelNames?: readonly string[];
      };
      const labels = labelNames?.map((label) => `\`${label}\``).join(', ') ?? '';
      return [`\`${name}\``, type, labels, help];
    });
  return `${[
    '# Metrics',
    '',
    '<!-- Generated from src/metrics.ts: npx vitest run test/unit/metrics-doc.test.ts -u -->',
    '',
    'Served at `/metrics` and, to a client that asks for them in its `Accept` header, at `/health`.',
    'Every metric also carries the label `exchange`.',
    '',
    markdownTable(['Name', 'Type', 'Labels', 'What it says'], rows),
  ].join('\n')}\n`;
}
