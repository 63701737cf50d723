/** The simulated exchange in a process of its own, which no fault touches, and its journal. */
import { join } from 'node:path';
import { startProcess } from './processes.ts';
import { until, type World } from './world.ts';

export type Exchange = Awaited<ReturnType<typeof startExchange>>;

export interface ExchangeOptions {
  readonly symbols: readonly string[];
  readonly folder: string;
}

const MAIN = join(import.meta.dirname, '../../src/sim/main.ts');

/** It trades nothing until `setRate`. */
export async function startExchange(world: World, { symbols, folder }: ExchangeOptions) {
  const journalPath = join(folder, 'journal.jsonl');
  const child = startProcess(world, process.execPath, [
    MAIN,
    '--history-candles=0',
    '--rate=0',
    `--seed=${world.seed}`,
    `--symbols=${symbols.join(',')}`,
    `--journal=${journalPath}`,
  ]);
  const line = async (index: number) =>
    JSON.parse(
      await until('the exchange to answer', () => {
        if (child.hasEnded()) throw new Error(`exchange ended: ${child.errors.join('\n')}`);
        return child.lines[index];
      }),
    ) as Record<string, unknown>;
  const { wsUrl, restUrl } = (await line(0)) as { wsUrl: string; restUrl: string };
  let asked = 0;

  async function control(name: string, ...args: unknown[]): Promise<unknown> {
    child.stdin.write(`${JSON.stringify({ control: name, args })}\n`);
    asked++;
    const { result, error } = await line(asked);
    if (error !== undefined) throw new Error(`${name}: ${JSON.stringify(error)}`);
    return result;
  }

  const connections = async () => (await control('connections')) as { streams: string[] }[];

  return {
    wsUrl,
    restUrl,
    journalPath,
    control,
    /** Open sockets. */
    connections: async () => (await connections()).length,
    /** Until somebody listens to `count` streams, over all connections. */
    subscribed: (count: number, timeoutMs = 30_000) =>
      until(
        `${count} subscribed streams`,
        async () => (await connections()).flatMap(({ streams }) => streams).length >= count,
        { timeoutMs },
      ),
    setRate: (tradesPerSecond: number) => control('setRate', tradesPerSecond),
    burst: (symbol: string, count: number) => control('burst', symbol, count),
    /** Trades that it made, those that it kept from its sockets included. */
    emitted: async () => ((await control('counters')) as { trades: number }).trades,
  };
}
