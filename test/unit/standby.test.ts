/** Rows that wait in memory while another daemon stores, and what becomes of them. */
import { expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics.ts';
import { createLosses } from '../../src/writers/losses.ts';
import { openSpool } from '../../src/writers/spool.ts';
import { createStandby } from '../../src/writers/standby.ts';
import { encodeRow, TABLES } from '../../src/writers/tables.ts';
import { configOf, metricValue, temporaryFolder } from '../support/daemon.ts';
import { trade } from '../support/writing.ts';

async function stage() {
  const metrics = createMetrics('binance');
  const logger = createLogger({ level: 'fatal' });
  const config = configOf({
    'spool.directory': await temporaryFolder(),
    'spool.unwrittenBytes': 65_536,
  }).spool;
  const spool = await openSpool({ exchange: 'binance', config, metrics, logger });
  const losses = await createLosses({
    exchange: 'binance',
    spool,
    tradeIds: false,
    metrics,
    logger,
  });
  onTestFinished(async () => {
    await losses.close(await spool.seal());
    await spool.close();
  });
  let now = 0;
  const standby = createStandby({
    spool,
    losses,
    keepMs: 1_000,
    maxBytes: 1_000_000,
    metrics,
    now: () => now,
  });
  const pad = 'x'.repeat(60);
  return {
    losses,
    standby,
    pass: (ms: number) => void (now += ms),
    append(n: number): void {
      const row = encodeRow({ ...trade(n), tradeId: `${n}-${pad}` });
      const text = row.repeat(400);
      metrics.rowsReceived.inc({ table: 'trades' }, 400);
      standby.append(TABLES.trade.code, Buffer.from(text), 400, 0);
    },
    value: (name: keyof typeof metrics, labels?: Record<string, string>) =>
      metricValue(metrics, name, labels),
  };
}

test('what is older than the other daemon can be silent is left to it', async () => {
  const { standby, append, pass, value } = await stage();
  standby.hold();
  append(1);
  pass(600);
  append(2);
  pass(600);
  append(3);
  expect(await value('rowsLeft')).toBe(400);
  expect(await value('standbyRows')).toBe(800);
  expect(await value('accountingError')).toBe(0);
});

test('what the spool does not take at the take-over is said, not lost silently', async () => {
  const { standby, losses, append, value } = await stage();
  standby.hold();
  for (let n = 1; n <= 6; n++) append(n);
  expect(await value('standbyRows')).toBe(2_400);
  standby.release();
  expect(await value('standbyRows')).toBe(0);
  expect(await value('rowsDropped', { reason: 'spool_full' })).toBeGreaterThan(0);
  expect(losses.pending()).toBe(1);
  expect(await value('accountingError')).toBe(0);
});
