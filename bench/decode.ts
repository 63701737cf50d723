/**
 * Parse and map, frame by frame: an adapter's `decode` of trade frames against JSON.parse alone, which
 * reads neither digits nor times; and beside what others make of the same frames.
 */
import { loadAdapter } from '../src/ingest/registry.ts';
import {
  type Bench,
  type BenchContext,
  compare,
  type Finding,
  type Goal,
  quantile,
  type Sample,
} from './harness.ts';
import { ccxtTrades, loadTardis, tardisTrades, type TradePeer } from './peers.ts';
import { recordedTradeFrames } from './recorded-frames.ts';
import { bases, framedExchanges, makeTradeFrames } from './trade-frames.ts';

const FRAMES = 40_000;
/** ccxt takes ten times as long. */
const CCXT_PART = 10;

export const bench: Bench = {
  name: 'decode',
  about: 'a trade frame to a normalized trade: parse and map',
  async *run(context) {
    const tardis = await loadTardis((note) => void process.stderr.write(`${note}\n`));
    const count = context.quick ? 2_000 : FRAMES;
    for (const exchange of framedExchanges) {
      const frames = makeTradeFrames(exchange, count);
      yield* measure(context, `${exchange} trades`, exchange, frames, '<= 1.35', {
        ...(tardis && { 'tardis-dev': tardisTrades(tardis, exchange) }),
        'ccxt.pro': await ccxtTrades(exchange, bases),
      });
      const recorded = await recordedTradeFrames(exchange, count);
      if (recorded)
        yield* measure(context, `${exchange} trades, recorded`, exchange, recorded, undefined, {});
    }
  },
};

async function* measure(
  context: BenchContext,
  what: string,
  exchange: string,
  frames: readonly string[],
  /** None for what was recorded: some of it is of streams that are not subscribed. */
  goal: Goal | undefined,
  peers: Readonly<Record<string, TradePeer | undefined>>,
): AsyncGenerator<Finding> {
  const adapter = await loadAdapter(exchange);
  const state = adapter.open({ bookDepth: 20 });
  const decode = (frame: string) => adapter.decode(frame, state).length;
  // As a socket gives them: each round has to make its own strings of them.
  const received = frames.map((frame) => Buffer.from(frame));
  const unit = 'µs/frame';
  const ours = () => timed(received, decode);
  const trades = frames.reduce((sum, frame) => sum + decode(frame), 0);
  if (trades < frames.length)
    throw new Error(`${what}: ${trades} trades in ${frames.length} frames`);

  const limit = () => timed(received, (frame) => (JSON.parse(frame) === null ? 0 : 1));
  yield await compare(context, {
    what,
    unit,
    limitName: 'JSON.parse',
    ...(goal && { goal }),
    ours,
    limit,
  });
  for (const [limitName, peer] of Object.entries(peers)) {
    // Not every version of a protocol is known everywhere.
    if (!peer || frames.slice(0, 10).every((frame) => peer(frame) === 0)) continue;
    const few = Math.max(SLICE, frames.length / CCXT_PART);
    const some = limitName === 'ccxt.pro' ? received.slice(0, few) : received;
    yield await compare(context, {
      what,
      unit,
      limitName,
      goal: limitName === 'ccxt.pro' ? '<= 0.15' : '<= 0.8',
      ours,
      limit: () => timed(some, peer),
    });
  }
}

/** What comes out is summed up, so that none of it can be left out. */
let sum = 0;
/** A millisecond or so of work. */
const SLICE = 1_000;

/** The median of many slices: these are so short that any other program shows in the sum. */
function timed(received: readonly Buffer[], read: (frame: string) => number): Sample {
  const frames = received.map((frame) => frame.toString());
  const slices: number[] = [];
  for (let at = 0; at + SLICE <= frames.length; at += SLICE) {
    const startedAt = performance.now();
    for (let i = at; i < at + SLICE; i++) sum += read(frames[i] ?? '');
    slices.push(((performance.now() - startedAt) * 1000) / SLICE);
  }
  return { value: quantile(slices, 0.5) };
}
