/**
 * The simulated exchange as a process, with books and all: prints its addresses. Its options are the
 * argument, as JSON; its REST gives as much as it is asked for.
 */
import { once } from 'node:events';
import { startSimulatedExchange, type SimulatedExchangeOptions } from '../src/sim/exchange.ts';
import { startProgram } from './program.ts';

type Options = Omit<SimulatedExchangeOptions, 'seed' | 'symbols'> & {
  readonly symbols: readonly string[];
};

export async function startExchange(options: Options) {
  const program = startProgram([import.meta.filename, JSON.stringify(options)]);
  const { wsUrl, restUrl } = (await program.line()) as { wsUrl: string; restUrl: string };
  return {
    settings: {
      'connection.wsUrl': wsUrl,
      'connection.restUrl': restUrl,
      symbols: options.symbols,
    },
    stop: () => program.stop(),
  };
}

if (import.meta.main) {
  const { wsUrl, restUrl, stop } = await startSimulatedExchange({
    seed: 1,
    historyCandles: 0,
    arrivals: 'steady',
    restWeightPerMinute: Infinity,
    ...(JSON.parse(process.argv[2] ?? '{}') as Options),
  });
  process.stdout.write(`${JSON.stringify({ wsUrl, restUrl })}\n`);
  await once(process, 'SIGTERM');
  await stop();
}
