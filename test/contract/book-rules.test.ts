/** What keeps the books of Kraken and OKX right: frames in, what becomes of the book. */
import { describe, expect, test } from 'vitest';
import { loadAdapter } from '../../src/ingest/registry.ts';
import { type BookOutcome, createOrderBooks } from '../../src/ingest/order-book.ts';

async function outcomesOf(
  exchange: string,
  depth: number,
  frames: readonly string[],
): Promise<BookOutcome[]> {
  const adapter = await loadAdapter(exchange);
  const state = adapter.open({ bookDepth: depth });
  const rules = adapter.book ?? {};
  const books = createOrderBooks({ depth, rules, requestSnapshot: () => undefined });
  return frames
    .flatMap((frame) => adapter.decode(frame, state))
    .flatMap((decoded) => (decoded.kind === 'book' ? [books.apply(decoded)] : []));
}

const kinds = (outcomes: readonly BookOutcome[]) =>
  outcomes.map((outcome) => (outcome.kind === 'lost' ? `lost: ${outcome.reason}` : outcome.kind));

describe('kraken', () => {
  /** The example of Kraken's guide to checksums, whose zeros count. */
  const GUIDE_ASKS =
    '45285.2/0.00100000 45286.4/1.54571953 45286.6/1.54571109 45289.6/1.54560911 45290.2/0.15890660 45291.8/1.54553491 45294.7/0.04454749 45296.1/0.35380000 45297.5/0.09945542 45299.5/0.18772827';
  const GUIDE_BIDS =
    '45283.5/0.10000000 45283.4/1.54582015 45282.1/0.10000000 45281.0/0.10000000 45280.3/1.54592586 45279.0/0.07990000 45277.6/0.03310103 45277.5/0.30000000 45277.3/1.54602737 45276.6/0.15445238';

  const levelsOf = (text: string) =>
    text
      .split(' ')
      .filter(Boolean)
      .map((level) => `{"price":${level.replace('/', ',"qty":')}}`)
      .join(',');

  const frame = (type: string, bids: string, asks: string, checksum?: number) =>
    `{"channel":"book","type":"${type}","data":[{"symbol":"BTC/USD","bids":[${levelsOf(bids)}],"asks":[${levelsOf(asks)}]${checksum === undefined ? '' : `,"checksum":${checksum}`}}]}`;

  const acknowledged = (depth: number) =>
    `{"method":"subscribe","result":{"channel":"book","depth":${depth},"symbol":"BTC/USD"},"success":true,"req_id":1}`;

  test('checks the digits that were sent', async () => {
    const sent = frame('snapshot', GUIDE_BIDS, GUIDE_ASKS, 3310070434);
    expect(kinds(await outcomesOf('kraken', 10, [sent]))).toEqual(['published']);
    const rounded = JSON.stringify(JSON.parse(sent));
    expect(kinds(await outcomesOf('kraken', 10, [rounded]))).toEqual(['lost: checksum']);
  });

  test('checks every change, and waits for a snapshot after a wrong one', async () => {
    const snapshot = frame('snapshot', GUIDE_BIDS, GUIDE_ASKS, 3310070434);
    const update = frame('update', '', '45285.2/0.00000000', 1);
    const outcomes = await outcomesOf('kraken', 10, [snapshot, update, update, snapshot]);
    expect(kinds(outcomes)).toEqual(['published', 'lost: checksum', 'stale', 'published']);
  });

  test.each([
    { subscribed: 10, frames: [acknowledged(10)], returns: false },
    { subscribed: 25, frames: [acknowledged(25)], returns: true },
    // Without the acknowledgement a snapshot of ten levels was subscribed so.
    { subscribed: 10, frames: [], returns: false },
  ])('keeps the $subscribed levels that are subscribed', async ({ frames, returns }) => {
    const outcomes = await outcomesOf('kraken', 10, [
      ...frames,
      frame('snapshot', '', GUIDE_ASKS),
      frame('update', '', '45285.1/1'),
      frame('update', '', '45285.1/0'),
    ]);
    const last = outcomes.at(-1);
    if (last?.kind !== 'published') throw new Error('not published');
    expect(last.asks.some(([price]) => price === '45299.5')).toBe(returns);
  });
});

describe('okx', () => {
  const frame = (
    action: string,
    bids: readonly string[][],
    more: Readonly<Record<string, unknown>>,
  ) =>
    JSON.stringify({
      arg: { channel: 'books', instId: 'BTC-USDT' },
      action,
      data: [{ asks: [], bids, ts: '1772359200100', ...more }],
    });
  const update = (prevSeqId: number, seqId: number) =>
    frame('update', [['2', '1', '0', '1']], { checksum: 0, prevSeqId, seqId });
  const snapshot = (seqId: number) =>
    frame('snapshot', [['1', '1', '0', '1']], { checksum: 0, prevSeqId: -1, seqId });

  test('follows the chain: jumps, changes of nothing, a restart at a lower number', async () => {
    const frames = [snapshot(10), update(10, 17), update(17, 17), update(17, 3), update(3, 5)];
    expect(kinds(await outcomesOf('okx', 20, frames))).toEqual(frames.map(() => 'published'));
  });

  test('is lost where the chain breaks, until a snapshot; one sent twice is nothing', async () => {
    const frames = [snapshot(10), update(10, 17), update(10, 17), update(18, 19), update(19, 20)];
    const again = [snapshot(40), snapshot(41), update(41, 42), update(40, 43)];
    expect(kinds(await outcomesOf('okx', 20, [...frames, ...again]))).toEqual([
      'published',
      'published',
      'stale',
      'lost: sequence',
      'stale',
      'published',
      'published',
      'published',
      'lost: sequence',
    ]);
  });

  test('has nothing but the checksum before 2023: signed, over the best 25 of each side', async () => {
    const bids = [
      ['8476.97', '257', '0', '12'],
      ['8475.55', '101', '0', '1'],
    ];
    // crc32('8476.97:257:8475.55:101') as a signed number.
    const checksum = -811667209;
    const right = frame('snapshot', bids, { checksum });
    const wrong = frame('update', [], { checksum: checksum + 1 });
    expect(kinds(await outcomesOf('okx', 20, [right, wrong]))).toEqual([
      'published',
      'lost: checksum',
    ]);
  });
});
