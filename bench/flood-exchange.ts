/** The process of flood.ts, from outside. */
import { join } from 'node:path';
import { startProgram } from './program.ts';

export interface Flood {
  readonly count: number;
  /** Without it: as fast as the client reads. */
  readonly perSecond?: number;
  readonly withProbes?: boolean;
}

/** Which symbol ticked when: microseconds of the clock, and the milliseconds that the trade says. */
export type Probe = readonly [symbol: string, at: number, timestamp: number];

export interface Flooded {
  readonly sent: number;
  readonly probes: readonly Probe[];
}

/** Ten digits, as long as there is a bench. */
export const FIRST_ID = 1_000_000_000;
/** One of so many trades is a probe's, where they are asked for. */
export const PROBE_EVERY = 50;

/** All names must have one length. */
export async function startFlood(symbols: readonly string[], probes: readonly string[]) {
  const program = startProgram([
    join(import.meta.dirname, 'flood.ts'),
    symbols.join(','),
    probes.join(','),
  ]);
  const { wsUrl, restUrl } = (await program.line()) as { wsUrl: string; restUrl: string };
  return {
    settings: {
      'connection.wsUrl': wsUrl,
      'connection.restUrl': restUrl,
      symbols: [...symbols, ...probes],
    },
    async send(flood: Flood): Promise<Flooded> {
      program.stdin.write(`${JSON.stringify(flood)}\n`);
      return (await program.line()) as Flooded;
    },
    stop: () => program.stop(),
  };
}
