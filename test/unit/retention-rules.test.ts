import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configSchema } from '../../src/config.ts';
import { retentionRules } from '../../src/schema/retention-rules.ts';

const DOCUMENT = readFileSync(new URL('../../docs/schema-document.md', import.meta.url), 'utf8');

test('the defaults are the times of section 4 of the document', () => {
  const { series, rows } = retentionRules(configSchema.parse({}).retention);
  const keep = Object.fromEntries([...series, ...rows].map((rule) => [rule.table, rule.keep]));
  const section = /## 4\.(.*)## 5\./s.exec(DOCUMENT)?.[1] ?? '';
  const said = [...section.matchAll(/^- (.+?): (\d+ \w+)/gm)].map(([, what, time]) => [what, time]);
  expect(Object.fromEntries(said)).toEqual({
    'Market data (1m candles)': keep['market_data'],
    'Market data (5m+ candles)': keep['market_data_5m'],
    'Order book snapshots': keep['order_book'],
    'Individual trades': keep['trades'],
    'Executed orders': keep['executed_orders'],
    Positions: keep['positions'],
    'Performance metrics': keep['performance_metrics'],
    'User sessions': keep['user_sessions'],
    'Risk events': keep['risk_events'],
    'System logs': keep['system_logs'],
  });
});

test.each(['6 years', '83 months', '2500 days', '0 years', '7'])(
  'what the law wants kept is not kept for %s',
  (keep) => {
    for (const key of ['executedOrders', 'positions', 'riskEvents']) {
      expect(configSchema.safeParse({ retention: { [key]: keep } }).success).toBe(false);
    }
  },
);

test('forever is no rule at all', () => {
  const { series } = retentionRules(
    configSchema.parse({ retention: { trades: 'forever' } }).retention,
  );
  expect(series.find(({ table }) => table === 'trades')?.keep).toBeNull();
});
