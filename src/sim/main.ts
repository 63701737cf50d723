/**
 * The simulated exchange in a process of its own:
 *
 *   node src/sim/main.ts --port 0 --seed 1 --rate 200 --journal FILE
 *
 * Prints one JSON line with its addresses, and stops on SIGTERM or SIGINT. A test in another process
 * injects faults through standard input, one JSON line each, answered by one line:
 *
 *   {"control":"burst","args":["BTC/USDT",1000]}   ->   {"control":"burst","result":null}
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { messageOf } from '../errors.ts';
import { startSimulatedExchange, type SimulatorControls } from './exchange.ts';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    /** Trades a second, all symbols together. */
    rate: { type: 'string', default: '40' },
    symbols: { type: 'string' },
    journal: { type: 'string' },
    steady: { type: 'boolean', default: false },
    'candle-ms': { type: 'string', default: '60000' },
    'history-candles': { type: 'string', default: '60' },
  },
});

const exchange = await startSimulatedExchange({
  host: values.host,
  port: integer('port', values.port),
  seed: integer('seed', values.seed),
  tradesPerSecond: integer('rate', values.rate),
  candleMs: integer('candle-ms', values['candle-ms']),
  historyCandles: integer('history-candles', values['history-candles']),
  arrivals: values.steady ? 'steady' : 'clustered',
  ...(values.symbols && { symbols: values.symbols.split(',') }),
  ...(values.journal && { journalPath: values.journal }),
});
const { wsUrl, restUrl, port } = exchange;
print({ wsUrl, restUrl, port, pid: process.pid });

const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  void obey(line).then(print);
});

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
input.close();
await exchange.stop();

async function obey(line: string): Promise<unknown> {
  try {
    const { control, args = [] } = JSON.parse(line) as { control: string; args?: unknown[] };
    if (!Object.hasOwn(exchange.controls, control)) throw new RangeError(`no control ${control}`);
    const run = exchange.controls[control as keyof SimulatorControls] as (
      ...args: unknown[]
    ) => unknown;
    return { control, result: (await run(...args)) ?? null };
  } catch (error) {
    return { error: messageOf(error) };
  }
}

function print(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function integer(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new RangeError(`--${name} must be a whole number, not ${text}`);
  return Number(text);
}
