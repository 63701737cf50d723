/** `hyperfeed record`: a live exchange -> recorded frames, in the format that `replay` reads. */
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Config } from '../config.ts';
import type { WsAdapter } from '../ingest/adapter.ts';
import { createMarkets } from '../ingest/markets.ts';
import { createRest } from '../ingest/rest.ts';
import { createWsSource } from '../ingest/ws-source.ts';
import type { Logger } from '../log.ts';
import { createMetrics } from '../metrics.ts';
import { checkExchangeUrls, withoutKeys } from '../transport.ts';

export interface RecordCommandOptions {
  readonly adapter: WsAdapter;
  readonly config: Config;
  /** Ends in .gz: compressed. */
  readonly file: string;
  readonly logger: Logger;
  /** Ends the recording. */
  readonly signal: AbortSignal;
}

export interface Recorded {
  readonly lines: number;
  /** Of these lines: what came over sockets. */
  readonly frames: number;
}

/** Throws when the file cannot be written. */
export async function runRecord(options: RecordCommandOptions): Promise<Recorded> {
  const { adapter, config, file, logger, signal } = options;
  checkExchangeUrls(config.connection);
  const { wsUrl = adapter.urls.ws, restUrl = adapter.urls.rest } = config.connection;
  const rec = `${adapter.id}-${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}`;
  const output = openOutput(file);
  const failed = new AbortController();
  output.stream.on('error', (error) => failed.abort(error));
  const stop = AbortSignal.any([signal, failed.signal]);
  let n = 0;
  let frames = 0;

  function line(dir: string, fields: object): void {
    n++;
    // Written by hand, so that the time keeps its six digits.
    const ts = (Date.now() / 1000).toFixed(6);
    const rest = JSON.stringify({ dir, ...fields, n, rec }).slice(1);
    output.stream.write(`{"ts":${ts},${rest}\n`);
  }

  const rest = createRest({
    baseUrl: restUrl,
    weightPerMinute: adapter.limits.restWeightPerMinute,
    tap: (url, frame) => line('http', { url: withoutKeys(url, restUrl), frame }),
  });
  const { symbols, channels } = config;
  const markets = createMarkets({ adapter, rest, symbols, logger, onMarkets: () => undefined });
  const source = createWsSource({
    adapter,
    rest,
    config,
    now: () => Date.now() * 1000,
    metrics: createMetrics(adapter.id),
    logger,
    tap({ direction, frame, url, connection }) {
      if (direction === 'in') frames++;
      const conn = `${adapter.id}.${connection}`;
      const opened = direction === 'open' && { url: withoutKeys(url, wsUrl) };
      line(direction, { ...opened, frame, conn });
    },
  });
  try {
    const instruments = await markets.resolve(stop);
    await source.run({ instruments, channels }, () => undefined, stop);
  } finally {
    await output.end();
  }
  failed.signal.throwIfAborted();
  return { lines: n, frames };
}

function openOutput(file: string): { stream: Writable; end: () => Promise<void> } {
  const target = createWriteStream(file, { flags: 'wx' });
  if (!file.endsWith('.gz')) return { stream: target, end: () => closed(target, target) };
  const gzip = createGzip();
  gzip.pipe(target);
  target.on('error', (error) => gzip.destroy(error));
  return { stream: gzip, end: () => closed(gzip, target) };
}

async function closed(stream: Writable, target: Writable): Promise<void> {
  stream.end();
  await finished(target).catch(() => undefined);
}
