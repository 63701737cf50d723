/**
 * `hyperfeed run`, but for the budget of REST requests: the books of a thousand symbols are there at
 * once, not within a quarter of an hour.
 */
import { once } from 'node:events';
import { loadConfig } from '../src/config-load.ts';
import { createDaemon } from '../src/daemon.ts';
import { binance } from '../src/ingest/exchanges/binance.ts';
import { createLogger } from '../src/log.ts';
import { collectProcessMetrics } from '../src/metrics.ts';

const { config } = loadConfig({ env: process.env, flags: {} });
const logger = createLogger({ level: config.log.level });
const limits = { ...binance.limits, restWeightPerMinute: 1e9 };
const daemon = await createDaemon({
  config,
  adapter: { ...binance, limits },
  logger,
  onRefused: (error) => logger.fatal({ err: error }, 'database refused'),
});
collectProcessMetrics(daemon.metrics);
await daemon.start(new AbortController().signal);
logger.info({ ...daemon.address() }, 'running');
await once(process, 'SIGTERM');
await daemon.stop();
process.exit();
