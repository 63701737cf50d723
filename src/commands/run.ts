/** `hyperfeed run`: the daemon, until a signal ends it. */
import type { Config } from '../config.ts';
import { createDaemon } from '../daemon.ts';
import { HyperfeedError } from '../errors.ts';
import { loadExchange } from '../ingest/registry.ts';
import type { Logger } from '../log.ts';
import { collectProcessMetrics } from '../metrics.ts';

export interface RunOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** SIGTERM, SIGINT. */
  readonly signal: AbortSignal;
}

/** Exit code of a database whose schema this version cannot write to. */
const EXIT_SCHEMA = 3;

/** Resolves to the exit code when everything has stopped. */
export async function runDaemon({ config, logger, signal }: RunOptions): Promise<number> {
  const refused = new AbortController();
  const adapter = await loadExchange(config.exchange);
  const daemon = await createDaemon({
    config,
    adapter,
    logger,
    onRefused: (error) => refused.abort(error),
  });
  collectProcessMetrics(daemon.metrics);
  const stopping = AbortSignal.any([signal, refused.signal]);
  try {
    await daemon.start(stopping);
  } catch (error) {
    if (!stopping.aborted) throw error;
  }
  if (!stopping.aborted) {
    logger.info({ exchange: adapter.id, symbols: config.symbols, ...daemon.address() }, 'running');
    await new Promise((resolve) => stopping.addEventListener('abort', resolve, { once: true }));
  }
  if (!refused.signal.aborted) logger.info('stopping');
  const { stragglers } = await daemon.stop();
  if (!refused.signal.aborted) {
    logger.info({ stragglers, drained: daemon.isDrained() }, 'stopped');
    return 0;
  }
  const error: unknown = refused.signal.reason;
  logger.fatal({ err: error }, 'database refused');
  return error instanceof HyperfeedError ? EXIT_SCHEMA : 1;
}
