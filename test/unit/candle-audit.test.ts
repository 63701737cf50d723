import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { DecodedCandle, RestRequest } from '../../src/ingest/adapter.ts';
import { createCandleAudit } from '../../src/ingest/candle-audit.ts';
import { MINUTE } from '../../src/ingest/minutes.ts';

const START = 1_700_000_040_000_000;
const MARKET = 'BTC-USD';

function candle(minute: number, volume: string, trades: number | null = null): DecodedCandle {
  const prices = { open: '1', high: '2.0', low: '0.5', close: '1.5' };
  const time = START + minute * MINUTE;
  return { kind: 'candle', venueSymbol: MARKET, time, ...prices, volume, trades, closed: true };
}

/** An exchange's history of candles, kept by the test; the clock is the test's too. */
function auditOf(options: { maxRows?: number } = {}) {
  const rows = new Map<number, DecodedCandle>();
  const asked: [from: number, to: number][] = [];
  const emitted: DecodedCandle[] = [];
  const state = { seconds: 0, down: false };
  const minute = (time: number) => (time - START) / MINUTE;
  const audit = createCandleAudit({
    history: {
      maxRows: options.maxRows ?? 300,
      emptyMinutes: 'absent',
      request: (_, from, to) => ({ path: '', query: { from: `${from}`, to: `${to}` }, weight: 1 }),
      parse: (body) => JSON.parse(body) as DecodedCandle[],
    },
    rest: {
      get: async ({ query }: RestRequest) => {
        if (state.down) throw new Error('down');
        const [from, to] = [minute(Number(query.from)), minute(Number(query.to))];
        asked.push([from, to]);
        return JSON.stringify(
          [...rows].filter(([at]) => at >= from && at <= to).map(([, row]) => row),
        );
      },
    },
    emit: (row) => emitted.push(row),
    clock: () => START + state.seconds * 1e6,
    logger: pino({ level: 'silent' }),
  });
  return {
    audit,
    rows,
    asked,
    emitted,
    state,
    /** A round at this time. */
    at(seconds: number): Promise<void> {
      state.seconds = seconds;
      return audit.round(new AbortController().signal);
    },
  };
}

describe('a candle of ours', () => {
  test('that the history confirms, in other digits, is left as it is', async () => {
    const all = auditOf();
    all.rows.set(0, { ...candle(0, '5.00'), high: '2' });
    all.audit.verify(candle(0, '5', 17));
    await all.at(64.9);
    expect(all.asked).toEqual([]);
    await all.at(65);
    await all.at(500);
    expect([all.asked, all.emitted]).toEqual([[[0, 1]], []]);
  });

  test('that the history contradicts, twice the same, is replaced', async () => {
    const all = auditOf();
    all.rows.set(0, candle(0, '4'));
    all.audit.verify(candle(0, '5'));
    await all.at(65);
    expect(all.emitted).toEqual([]);
    await all.at(94);
    expect(all.asked.length).toBe(1);
    await all.at(96);
    await all.at(500);
    expect([all.asked.length, all.emitted]).toEqual([2, [candle(0, '4')]]);
  });

  test('is not replaced by a history that lags', async () => {
    const all = auditOf();
    all.audit.verify(candle(0, '5', 9));
    all.rows.set(0, candle(0, '4', 7));
    await all.at(65);
    all.rows.set(0, candle(0, '5', 9));
    await all.at(96);
    await all.at(500);
    expect([all.asked.length, all.emitted]).toEqual([2, []]);
  });
});

describe('a minute that is wanted', () => {
  test('comes from the history, and again if that thinks better of it', async () => {
    const all = auditOf();
    all.rows.set(0, candle(0, '4'));
    all.audit.want(MARKET, START, START);
    await all.at(65);
    expect(all.emitted).toEqual([candle(0, '4')]);
    all.rows.set(0, candle(0, '5'));
    for (const seconds of [96, 127, 158, 500]) await all.at(seconds);
    expect(all.emitted).toEqual([candle(0, '4'), candle(0, '5')]);
    expect(all.asked.length).toBe(3);
  });

  test('has no candle if a later one is in the answer, else the answer may come late', async () => {
    const all = auditOf();
    all.audit.want(MARKET, START, START + MINUTE);
    await all.at(125);
    expect(all.asked).toEqual([[0, 2]]);
    all.rows.set(1, candle(1, '1'));
    await all.at(156);
    await all.at(187);
    await all.at(800);
    // 0 is settled by the second answer, 1 is emitted by it and confirmed by the third.
    expect(all.asked).toEqual([
      [0, 2],
      [0, 2],
      [1, 3],
    ]);
    expect(all.emitted).toEqual([candle(1, '1')]);
  });

  test('is asked for no more than ten times', async () => {
    const all = auditOf();
    all.audit.want(MARKET, START, START);
    for (let seconds = 65; seconds < 65 + 31 * 15; seconds += 31) await all.at(seconds);
    expect(all.asked.length).toBe(10);
  });

  test('waits for the exchange to answer, however long, in requests of its size', async () => {
    const all = auditOf({ maxRows: 2 });
    all.state.down = true;
    all.audit.want(MARKET, START, START + 4 * MINUTE);
    for (const seconds of [400, 431, 462]) await all.at(seconds);
    for (let minute = 0; minute < 5; minute++) all.rows.set(minute, candle(minute, '1'));
    all.state.down = false;
    for (let round = 0; round < 4; round++) await all.at(3_600);
    expect(all.emitted.map(({ time }) => (time - START) / MINUTE)).toEqual([0, 1, 2, 3, 4]);
    expect(all.asked).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ]);
  });
});
