/** The write path alone: what a feed would push goes in, rows come out. */
import { expect, onTestFinished } from 'vitest';
import type { Candle, MarketEvent, Trade } from '../../src/ingest/events.ts';
import { createLogger } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics.ts';
import type { Metrics } from '../../src/metrics.ts';
import { prepareSchema } from '../../src/schema/prepare.ts';
import { clientConfig } from '../../src/writers/pg.ts';
import { createRecorder } from '../../src/writers/recorder.ts';
import { openSpool } from '../../src/writers/spool.ts';
import { createStore, type StoreOptions } from '../../src/writers/store.ts';
import { storeReport } from '../../src/writers/store-report.ts';
import { createSymbolsWriter } from '../../src/writers/symbols.ts';
import { configOf, type LogLine, metricValue, type Settings, temporaryFolder } from './daemon.ts';
import { type TestDatabase, waitFor } from './stack.ts';

export const never = new AbortController().signal;
export const TIME = Date.UTC(2026, 2, 1, 12, 0, 0) * 1000;

export function trade(n: number, symbol = 'BTC/USDT'): Trade {
  return {
    type: 'trade',
    exchange: 'binance',
    symbol,
    time: TIME + n * 1_001,
    receivedAt: Date.now() * 1000,
    tradeId: String(n),
    side: n % 2 === 0 ? 'buy' : 'sell',
    price: `${60_000 + n}.12345678`,
    quantity: '0.00010000',
  };
}

export function candle(close: string, minute = 0): Candle {
  return {
    type: 'candle',
    exchange: 'binance',
    symbol: 'BTC/USDT',
    time: TIME + minute * 60_000_000,
    receivedAt: Date.now() * 1000,
    open: '1.10',
    high: '2.20',
    low: '1.00',
    close,
    volume: '0.00000000',
    trades: 0,
  };
}

export const trades = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => trade(from + i));

/** As storedTrades() has it. */
export const rowOf = ({ symbol, tradeId, side, price, quantity, time }: Trade) => [
  symbol,
  tradeId,
  side,
  price,
  quantity,
  new Date(time / 1000).toISOString().replace('Z', `${String(time % 1000).padStart(3, '0')}Z`),
];

export async function startWriting(
  settings: Settings,
  more: Pick<Partial<StoreOptions>, 'haltRecheckMs' | 'onRefused' | 'turn' | 'onRole'> = {},
) {
  const config = configOf({ 'spool.directory': await temporaryFolder(), ...settings });
  const metrics = createMetrics('binance');
  const log: LogLine[] = [];
  const destination = { write: (line: string) => void log.push(JSON.parse(line) as LogLine) };
  const logger = createLogger({ level: 'debug', destination });
  const spool = await openSpool({ exchange: 'binance', config: config.spool, metrics, logger });
  const recorder = createRecorder({ spool, config: config.spool, metrics, logger });
  const symbols = createSymbolsWriter('binance', logger);
  const writer = clientConfig(config.database, 'hyperfeed-test');
  const store = createStore({
    exchange: 'binance',
    spool,
    symbols,
    config: config.database,
    prepare: async (signal) => {
      await prepareSchema({ clientConfig: writer, logger, signal, migrations: true });
    },
    onRefused: () => undefined,
    metrics,
    logger,
    ...more,
  });
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= store.stop(AbortSignal.timeout(5_000)).then(() => spool.close()));
  onTestFinished(stop);
  await store.start(never);
  return {
    spool,
    store,
    symbols,
    metrics,
    log,
    stop,
    /** Each call is one frame of the spool. */
    async write(...events: MarketEvent[]): Promise<void> {
      for (const event of events) recorder.push(event);
      recorder.flush();
      await spool.flush(never);
    },
    /** Past every check of ours: what no adapter would let through. */
    append(text: string, rows: number): void {
      metrics.rowsReceived.inc({ table: 'trades' }, rows);
      spool.append(1, Buffer.from(text), rows, Date.now() * 1000);
    },
    /** Until all is stored; then each row is accounted for. */
    async drained(timeoutMs = 15_000): Promise<void> {
      await waitFor(() => spool.isEmpty(), { what: 'all rows to be stored', timeoutMs });
      expect(await metricValue(metrics, 'accountingError')).toBe(0);
    },
    value: (metric: keyof Metrics, labels?: Record<string, string>) =>
      metricValue(metrics, metric, labels),
    report: () => storeReport([[store.status(), spool.status()]]),
  };
}

/** On a database with its schema, and one trade stored. */
export async function startOn(database: TestDatabase, settings: Settings = {}) {
  const writing = await startWriting({ 'database.url': database.url, ...settings });
  await writing.write(trade(1));
  await writing.drained();
  return writing;
}
