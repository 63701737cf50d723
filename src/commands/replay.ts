/** `hyperfeed replay`: recorded frames -> normalized events as NDJSON, or through the whole pipeline. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { createDaemon, type Feeder, type Inlet } from '../daemon.ts';
import type { WsAdapter } from '../ingest/adapter.ts';
import type { Channel, MarketEvent, Micros } from '../ingest/events.ts';
import { assumeInstrument } from '../ingest/instruments.ts';
import { readRecordings } from '../ingest/recording.ts';
import { replay, type Replayed, type ReplayProblem } from '../ingest/replay.ts';
import type { SourceEvent } from '../ingest/source.ts';
import type { Logger } from '../log.ts';

export interface ReplayCommandOptions {
  readonly adapter: WsAdapter;
  readonly files: readonly string[];
  readonly depth: number;
  readonly channels: readonly Channel[];
  /** Names of markets that the recording's own list does not tell. */
  readonly symbols: readonly string[];
  /** Resolves when the text is taken. */
  readonly write: (text: string) => Promise<void>;
  readonly warn: (text: string) => void;
}

const CHANNEL_OF = { trade: 'trades', candle: 'candles', order_book: 'order_book' } as const;

/** Resolves to the exit code: 1 when a frame could not be used. */
export async function runReplay(options: ReplayCommandOptions): Promise<number> {
  const { adapter, files, depth, channels, write } = options;
  const problems = createProblemList(options.warn);
  const instruments = options.symbols.map((symbol) => assumeInstrument(symbol, adapter));
  const lines = readRecordings(files);
  let text = '';
  for await (const replayed of replay({
    adapter,
    lines,
    depth,
    instruments,
    onProblem: problems.add,
  })) {
    if (!channels.includes(CHANNEL_OF[replayed.event.kind])) continue;
    text += `${JSON.stringify(toJson(adapter.id, replayed))}\n`;
    if (text.length < 65_536) continue;
    await write(text);
    text = '';
  }
  await write(text);
  return problems.report();
}

/** Through spool, PostgreSQL and Redis, as if it came from the exchange. */
export async function runReplayIntoStore(
  options: Omit<ReplayCommandOptions, 'write' | 'symbols' | 'channels'> & {
    readonly config: Config;
    readonly logger: Logger;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const { adapter, config, logger, signal } = options;
  const problems = createProblemList(options.warn);
  const played = Promise.withResolvers<void>();
  const refused = Promise.withResolvers<never>();
  const source = (inlet: Inlet) => recordingFeeder(inlet, options, problems, played.resolve);
  const daemon = await createDaemon({ config, adapter, logger, source, onRefused: refused.reject });
  try {
    await daemon.start(signal);
    await Promise.race([played.promise, refused.promise]);
    while (!daemon.isDrained() && !signal.aborted) {
      await Promise.race([sleep(50), refused.promise]);
    }
  } finally {
    await daemon.stop();
  }
  return problems.report();
}

function recordingFeeder(
  { metrics, onMarkets, accepted }: Inlet,
  options: Pick<ReplayCommandOptions, 'adapter' | 'files' | 'depth'> & { readonly config: Config },
  problems: ProblemList,
  onEnd: () => void,
): Feeder {
  const { adapter, files, depth, config } = options;
  const instruments = config.symbols.map((symbol) => assumeInstrument(symbol, adapter));
  const channels = config.channels;
  let clock: Micros = 0;

  async function run(
    _plan: unknown,
    emit: (event: SourceEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    let count = 0;
    const lines = readRecordings(files);
    const recorded = replay({
      adapter,
      lines,
      depth,
      instruments,
      onProblem: problems.add,
      onMarkets: (markets) => onMarkets(markets, false),
    });
    for await (const replayed of recorded) {
      if (signal.aborted) break;
      clock = replayed.receivedAt;
      if (!channels.includes(CHANNEL_OF[replayed.event.kind])) continue;
      const event = toEvent(adapter.id, replayed);
      if (event) emit(event);
      else problems.unknown(replayed.event.venueSymbol);
      metrics.wsFrames.inc();
      // The disk sets the pace.
      if (++count % 2_000 === 0) await accepted();
    }
    await accepted();
    onEnd();
  }

  return {
    source: {
      run,
      status: () => ({ connections: { open: 1, wanted: 1 }, orderBooksInSync: 0, streams: [] }),
    },
    now: () => clock,
    plan: async () => {
      onMarkets(instruments, false);
      return { instruments, channels };
    },
  };
}

type ProblemList = ReturnType<typeof createProblemList>;

function createProblemList(warn: (text: string) => void) {
  const unknown = new Map<string, number>();
  let count = 0;
  return {
    add({ code, detail, line }: ReplayProblem): void {
      count++;
      warn(`${line.rec} n=${line.n}: ${code}: ${detail}\n`);
    },
    unknown(venueSymbol: string): void {
      unknown.set(venueSymbol, (unknown.get(venueSymbol) ?? 0) + 1);
    },
    /** The exit code. */
    report(): number {
      for (const [venueSymbol, events] of unknown) {
        warn(
          `${venueSymbol}: ${events} events left out, its symbol is unknown; name it by --symbols\n`,
        );
      }
      return count + unknown.size > 0 ? 1 : 0;
    },
  };
}

function toJson(exchange: string, { event, symbol }: Replayed): object {
  const { venueSymbol } = event;
  const time = isoMicros(event.time);
  switch (event.kind) {
    case 'trade': {
      const { tradeId, side, price, quantity, backlog } = event;
      const trade = {
        type: 'trade',
        exchange,
        symbol,
        venueSymbol,
        tradeId,
        side,
        price,
        quantity,
      };
      return { ...trade, time, ...(backlog && { backlog }) };
    }
    case 'candle': {
      const { open, high, low, close, volume, trades } = event;
      const values = { open, high, low, close, volume, trades };
      return { type: 'candle', exchange, symbol, venueSymbol, time, ...values };
    }
    case 'order_book': {
      const { bids, asks } = event;
      return { type: 'order_book', exchange, symbol, venueSymbol, time, bids, asks };
    }
  }
}

function toEvent(
  exchange: string,
  { event, symbol, receivedAt }: Replayed,
): MarketEvent | undefined {
  if (symbol === null) return undefined;
  const stamp = { exchange, symbol, receivedAt };
  switch (event.kind) {
    case 'trade': {
      const { time, tradeId, side, price, quantity } = event;
      return { type: 'trade', ...stamp, time, tradeId, side, price, quantity };
    }
    case 'candle': {
      const { time, open, high, low, close, volume, trades } = event;
      return { type: 'candle', ...stamp, time, open, high, low, close, volume, trades };
    }
    case 'order_book': {
      const { time, bids, asks } = event;
      return { type: 'order_book', ...stamp, time, bids, asks };
    }
  }
}

/** `2024-08-08T23:54:15.342000Z` */
function isoMicros(time: Micros): string {
  const seconds = Math.floor(time / 1_000_000);
  const fraction = String(time - seconds * 1_000_000).padStart(6, '0');
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}
