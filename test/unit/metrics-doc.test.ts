import { expect, test } from 'vitest';
import { renderMetricsDoc } from '../support/docs-metrics.ts';

test('docs/metrics.md lists every metric', async () => {
  await expect(renderMetricsDoc()).toMatchFileSnapshot('../../docs/metrics.md');
});
